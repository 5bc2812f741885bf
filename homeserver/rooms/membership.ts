/**
 * Coming into rooms and going out of them, and what members do to others' membership.
 * https://spec.matrix.org/v1.19/client-server-api/#room-membership
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  domainOf,
  type EventId,
  isUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import { type ForgetRow, forgottenRooms } from '../storage/forgotten-rooms.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import type { EventStore } from './event-store.ts';
import type { Invites } from './invites.ts';
import type { LiveRoom } from './live-room.ts';
import type { EventDraft, LocalEvents } from './local-events.ts';
import { type MemberProfiles, memberContent } from './member-profiles.ts';
import type { RemoteRooms } from './remote-rooms.ts';
import type { RestrictedJoins } from './restricted-joins.ts';
import type { RoomRegistry } from './room-registry.ts';
import { type ThirdPartySigned, thirdPartyInviteContent } from './third-party-invites.ts';
import type { UserRooms } from './user-rooms.ts';

export interface Entry {
  /** Servers to go through, as the client knows them. */
  readonly via?: readonly ServerName[] | undefined;
  readonly reason?: string | undefined;
  readonly isGuest?: boolean | undefined;
  readonly thirdPartySigned?: ThirdPartySigned | undefined;
  /** Further content of the member event; what it says of the profile goes before the profile. */
  readonly content?: JsonObject | undefined;
}

/** For what other servers tell of a room before somebody joins it. */
const askingTimeMs = 10_000;

export interface MembershipDeps {
  readonly serverName: ServerName;
  readonly log: Log;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly localEvents: LocalEvents;
  readonly userRooms: UserRooms;
  readonly profiles: MemberProfiles;
  readonly invites: Invites;
  readonly restrictedJoins: RestrictedJoins;
  readonly remote: RemoteRooms;
}

const maxServers = 20;

export class Membership {
  readonly #deps: MembershipDeps;

  constructor(deps: MembershipDeps) {
    this.#deps = deps;
  }

  /**
   * Joins a room, through other servers where this one is not in it. Who is in it already is told so
   * and nothing happens.
   * @throws MatrixError M_FORBIDDEN, M_GUEST_ACCESS_FORBIDDEN, M_NOT_FOUND
   */
  async join(userId: UserId, roomId: RoomId, entry: Entry = {}): Promise<RoomId> {
    const room = await this.#deps.registry.find(roomId);
    const inRoom = room?.hasJoinedServer(this.#deps.serverName) === true;
    if (inRoom && room.membership(userId) === 'join' && entry.content === undefined) {
      await room.durable();
      return roomId;
    }
    const content = memberContent('join', await this.#deps.profiles.of(userId), {
      ...entry.content,
      ...withReason(entry.reason),
    });
    if (inRoom && (await this.#joinHere(userId, roomId, entry, content))) return roomId;
    const candidates = await this.#candidates(userId, roomId, entry.via, room);
    if (candidates.length === 0 && room !== undefined && !inRoom) {
      // Nobody at all is left in the room, so this server's knowledge of it is as good as any.
      if (await this.#joinHere(userId, roomId, entry, content)) return roomId;
    }
    if (entry.isGuest === true) await this.#checkRemoteGuestAccess(userId, roomId, candidates);
    await this.#deps.remote.join({ userId, roomId, servers: candidates, content });
    return roomId;
  }

  /** @throws MatrixError M_FORBIDDEN, M_NOT_FOUND */
  async knock(userId: UserId, roomId: RoomId, entry: Entry = {}): Promise<RoomId> {
    const content = memberContent(
      'knock',
      await this.#deps.profiles.of(userId),
      withReason(entry.reason),
    );
    const room = await this.#deps.registry.find(roomId);
    if (room?.hasJoinedServer(this.#deps.serverName) === true) {
      await this.#send(roomId, memberDraft(userId, userId, content));
      return roomId;
    }
    const candidates = await this.#candidates(userId, roomId, entry.via, room);
    await this.#deps.remote.knock({ userId, roomId, servers: candidates, content });
    return roomId;
  }

  /**
   * Leaves a room, or takes back an invite or a knock. Leaving a room one has left does nothing.
   * @throws MatrixError M_FORBIDDEN, M_NOT_FOUND
   */
  async leave(userId: UserId, roomId: RoomId, reason?: string): Promise<void> {
    const { registry, serverName, remote } = this.#deps;
    const room = await registry.find(roomId);
    const content: JsonObject = { membership: 'leave', ...withReason(reason) };
    if (room?.hasJoinedServer(serverName) === true) {
      if (room.membership(userId) === 'leave') return room.durable();
      await this.#send(roomId, memberDraft(userId, userId, content));
      return;
    }
    const known = await this.#userRoom(userId, roomId);
    if (known?.membership === 'leave') return;
    if (known?.membership !== 'invite' && known?.membership !== 'knock') {
      throw matrixError(room === undefined ? 'M_NOT_FOUND' : 'M_FORBIDDEN', 'Not in this room');
    }
    const servers = await this.#candidates(userId, roomId, [], room);
    await remote.leave({ userId, roomId, servers, content });
  }

  /** @throws MatrixError M_UNKNOWN (400) while the user is in the room */
  async forget(userId: UserId, roomId: RoomId): Promise<void> {
    const { log } = this.#deps;
    const known = await this.#userRoom(userId, roomId);
    if (known === undefined) return;
    const row: ForgetRow = { userId, roomNid: known.roomNid, forgotten: false };
    await log.append({ parts: [rowsOf(forgottenRooms, [row])] });
    if (!row.forgotten) {
      throw matrixError('M_UNKNOWN', 'Leave the room before forgetting it', {}, { status: 400 });
    }
  }

  /** @throws MatrixError M_FORBIDDEN, M_INVITE_BLOCKED */
  async invite(sender: UserId, roomId: RoomId, invitee: UserId, reason?: string): Promise<void> {
    await this.#deps.invites.send(sender, roomId, invitee, withReason(reason));
  }

  /** @throws MatrixError M_FORBIDDEN */
  async kick(sender: UserId, roomId: RoomId, target: UserId, reason?: string): Promise<void> {
    await this.#change(sender, roomId, target, 'leave', reason, (membership) => {
      if (membership === 'join' || membership === 'invite' || membership === 'knock') return;
      throw matrixError('M_FORBIDDEN', `${target} is not in the room`);
    });
  }

  /** @throws MatrixError M_FORBIDDEN */
  async ban(sender: UserId, roomId: RoomId, target: UserId, reason?: string): Promise<void> {
    await this.#change(sender, roomId, target, 'ban', reason, () => undefined);
  }

  /** @throws MatrixError M_FORBIDDEN */
  async unban(sender: UserId, roomId: RoomId, target: UserId, reason?: string): Promise<void> {
    await this.#change(sender, roomId, target, 'leave', reason, (membership) => {
      if (membership !== 'ban') throw matrixError('M_FORBIDDEN', `${target} is not banned`);
    });
  }

  /**
   * Sets a member event as a client wrote it, through `/state`: by the same rules as the calls made
   * for each membership.
   * @throws MatrixError M_FORBIDDEN, M_INVALID_PARAM, M_INVITE_BLOCKED
   */
  async setState(
    sender: UserId,
    roomId: RoomId,
    target: string,
    content: JsonObject,
    isGuest: boolean,
  ): Promise<EventId> {
    if (!isUserId(target)) throw matrixError('M_INVALID_PARAM', 'The state key is not a user id');
    // Who vouches for a join is for servers to say.
    const { join_authorised_via_users_server: _, ...said } = content;
    const { membership, ...extra } = said;
    if (membership === 'invite' && sender !== target) {
      await this.#deps.invites.check(sender, [target]);
      return this.#deps.invites.send(sender, roomId, target, extra);
    }
    if (membership === 'join' && sender === target) {
      await this.join(sender, roomId, { content: extra, isGuest });
      const room = await this.#deps.registry.find(roomId);
      return room?.committed.stateRef('m.room.member', sender)?.eventId as EventId;
    }
    return this.#deps.localEvents.send(roomId, memberDraft(sender, target, said));
  }

  /** @returns false when only another server can authorise the join */
  async #joinHere(
    userId: UserId,
    roomId: RoomId,
    entry: Entry,
    content: JsonObject,
  ): Promise<boolean> {
    const { localEvents } = this.#deps;
    if (entry.thirdPartySigned !== undefined) {
      await this.#redeem(userId, roomId, entry.thirdPartySigned);
    }
    const sent = await localEvents.sendDecided(roomId, async (room) => {
      if (entry.isGuest === true) await this.#checkGuestAccess(room);
      const authorised = await this.#authorised(room, userId, content);
      return authorised && memberDraft(userId, userId, authorised);
    });
    return sent !== undefined;
  }

  /** The content of a join with what a restricted room asks for. */
  async #authorised(
    room: LiveRoom,
    userId: UserId,
    content: JsonObject,
  ): Promise<JsonObject | undefined> {
    if (mayEnter(room, userId)) return content;
    const check = await this.#deps.restrictedJoins.check(room, userId);
    if (check.outcome === 'unrestricted') return content;
    if (check.outcome === 'denied') {
      throw matrixError('M_FORBIDDEN', 'You are in none of the rooms whose members may join');
    }
    if (check.outcome === 'allowed' && check.authoriser !== undefined) {
      return { ...content, join_authorised_via_users_server: check.authoriser };
    }
    const others = [...room.joinedServers].some((server) => server !== room.localServer);
    if (others) return undefined;
    throw matrixError('M_FORBIDDEN', 'Nobody on this server may let you in');
  }

  /** https://spec.matrix.org/v1.19/client-server-api/#guest-access */
  async #checkGuestAccess(room: LiveRoom): Promise<void> {
    const ref = room.stateRef('m.room.guest_access', '');
    const stored = ref && (await this.#deps.events.byNid(room.nid, ref.nid));
    if (stored?.event.content['guest_access'] !== 'can_join') {
      throw matrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not join this room');
    }
  }

  /** What a room allows guests is for the server of the guest to see to, before it joins. */
  async #checkRemoteGuestAccess(
    userId: UserId,
    roomId: RoomId,
    servers: readonly ServerName[],
  ): Promise<void> {
    const told = await this.#deps.remote.space(roomId, servers, userId, askingTimeMs);
    if (told?.room['guest_can_join'] !== true) {
      throw matrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may not join this room');
    }
  }

  /** Makes an invite of a third-party invite that the user has shown to be theirs. */
  async #redeem(userId: UserId, roomId: RoomId, signed: ThirdPartySigned): Promise<void> {
    const { registry, events, serverName, remote } = this.#deps;
    const room = await registry.find(roomId);
    if (room === undefined || mayEnter(room, userId)) return;
    const ref = room.stateRef('m.room.third_party_invite', signed.token);
    const pending = ref && (await events.byNid(room.nid, ref.nid));
    if (pending === undefined || signed.mxid !== userId) {
      throw matrixError('M_FORBIDDEN', 'No invite is pending that this signature is for');
    }
    const { sender } = pending.event;
    const content = thirdPartyInviteContent(pending.event, signed);
    if (serverNameOf(sender) !== serverName) {
      await remote.exchangeThirdPartyInvite(roomId, sender, content);
    } else {
      await this.#send(roomId, memberDraft(sender, userId, content));
    }
  }

  async #change(
    sender: UserId,
    roomId: RoomId,
    target: UserId,
    membership: 'leave' | 'ban',
    reason: string | undefined,
    check: (membership: string | undefined) => void,
  ): Promise<void> {
    const { localEvents } = this.#deps;
    await localEvents.sendDecided(roomId, async (room) => {
      if (room.membership(sender) !== 'join') {
        throw matrixError('M_FORBIDDEN', 'You are not in this room');
      }
      check(room.membership(target));
      const content: JsonObject = { membership, ...withReason(reason) };
      return memberDraft(sender, target, content);
    });
  }

  async #send(roomId: RoomId, draft: EventDraft): Promise<void> {
    await this.#deps.localEvents.send(roomId, draft);
  }

  async #userRoom(userId: UserId, roomId: RoomId) {
    for (const room of (await this.#deps.userRooms.of(userId)).values()) {
      if (room.roomId === roomId) return room;
    }
    return undefined;
  }

  /**
   * Servers that may help into a room or out of it: those named, that of whoever invited, those that
   * the introduction of the room shows to be in it, and the room's own.
   */
  async #candidates(
    userId: UserId,
    roomId: RoomId,
    named: readonly ServerName[] = [],
    room: LiveRoom | undefined,
  ): Promise<ServerName[]> {
    const known = await this.#userRoom(userId, roomId);
    const origin = domainOf(roomId);
    const servers = new Set([
      ...named,
      ...sendersIn(known?.strippedState).map(serverNameOf),
      ...(room?.joinedServers ?? []),
      ...(origin === undefined ? [] : [origin]),
    ]);
    servers.delete(this.#deps.serverName);
    return [...servers].slice(0, maxServers);
  }
}

const withReason = (reason: string | undefined): JsonObject =>
  reason === undefined ? {} : { reason };

const memberDraft = (sender: UserId, target: UserId, content: JsonObject): EventDraft => ({
  type: 'm.room.member',
  stateKey: target,
  sender,
  content,
});

/** Whether no join rule stands in the way. */
const mayEnter = (room: LiveRoom, userId: UserId): boolean => {
  const membership = room.membership(userId);
  return membership === 'join' || membership === 'invite';
};

/** Who sent the stripped state, whoever invited first: theirs is the last event. */
const sendersIn = (strippedState: string | undefined): UserId[] =>
  (JSON.parse(strippedState ?? '[]') as { sender?: unknown }[])
    .map(({ sender }) => sender)
    .filter((sender): sender is UserId => typeof sender === 'string' && isUserId(sender))
    .reverse();
