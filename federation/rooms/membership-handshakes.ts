/**
 * The resident server's side of the handshakes by which users of servers outside a room join it,
 * knock on it, and go: a template is given out, and what comes back signed is taken in.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms and the sections on
 * knocking and leaving that follow it.
 */
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { LocalEvents } from '../../homeserver/rooms/local-events.ts';
import type { RestrictedJoins } from '../../homeserver/rooms/restricted-joins.ts';
import type { StoredEvent } from '../../homeserver/rooms/stored-event.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import { authorisingUserOf, type SigningKey } from '../../spec/signing.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import type { RoomIntake } from '../transactions/room-intake.ts';
import type { RoomAccess } from './room-access.ts';
import { type HandshakeMembership, signedMemberEvent } from './signed-member-event.ts';

export interface MembershipHandshakesDeps {
  readonly serverName: ServerName;
  readonly signingKey: () => SigningKey;
  readonly keyRing: KeyRing;
  readonly access: RoomAccess;
  readonly events: EventStore;
  readonly localEvents: LocalEvents;
  readonly restrictedJoins: RestrictedJoins;
  readonly receiver: Pick<RoomIntake, 'receive'>;
}

export interface Template {
  readonly room_version: string;
  readonly event: JsonObject;
}

export class MembershipHandshakes {
  readonly #deps: MembershipHandshakesDeps;

  constructor(deps: MembershipHandshakesDeps) {
    this.#deps = deps;
  }

  /**
   * A member event for the other server to sign, authorised by the room as it is now.
   * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN, M_INCOMPATIBLE_ROOM_VERSION, and for joins
   * M_UNABLE_TO_AUTHORISE_JOIN and M_UNABLE_TO_GRANT_JOIN
   */
  async template(
    origin: ServerName,
    roomId: RoomId,
    userId: UserId,
    membership: HandshakeMembership,
    /** Undefined where the request does not say. */
    versions: readonly string[] | undefined,
  ): Promise<Template> {
    const { access, localEvents, serverName } = this.#deps;
    if (serverNameOf(userId) !== origin) {
      throw matrixError('M_FORBIDDEN', 'The user is not of your server');
    }
    const known = await access.forVisitor(origin, roomId);
    if (versions !== undefined) checkVersion(known.rules, versions);
    const { event, rules } = await localEvents.inRoom(roomId, async (room) => {
      const content: JsonObject = { membership };
      if (membership === 'join') {
        const authoriser = await this.#authoriser(room, userId);
        if (authoriser !== undefined) content['join_authorised_via_users_server'] = authoriser;
      }
      const draft = { type: 'm.room.member', stateKey: userId, sender: userId, content };
      return { event: (await localEvents.build(room, draft)).event, rules: room.rules };
    });
    const {
      hashes: _hashes,
      signatures: _signatures,
      event_id: _eventId,
      ...template
    } = event.pdu as unknown as JsonObject;
    return { room_version: rules.version, event: { ...template, origin: serverName } };
  }

  /**
   * Takes in a member event that the other server has signed. It comes out with our signature, by
   * which the rest of the room hears of it from us.
   * @throws MatrixError M_INVALID_PARAM, and as `template`
   */
  async accept(
    origin: ServerName,
    roomId: RoomId,
    eventId: string,
    pdu: JsonObject,
    membership: HandshakeMembership,
  ): Promise<{ room: LiveRoom; stored: StoredEvent }> {
    const { access, receiver, events } = this.#deps;
    const room = await access.forVisitor(origin, roomId);
    const event = await signedMemberEvent(this.#deps, pdu, {
      room,
      eventId,
      membership,
      senderServer: origin,
      subjectServer: origin,
    });
    if (membership === 'join') await this.#checkAuthoriser(room, event);
    const receipt = (await receiver.receive(origin, room, [event], { relay: true })).get(
      event.eventId,
    );
    if (receipt?.isPassing === true) throw new Error(receipt.error);
    if (receipt?.error !== undefined) throw matrixError('M_FORBIDDEN', receipt.error);
    const stored = await events.byId(event.eventId);
    if (stored?.snapshotBefore === undefined) throw new Error(`${event.eventId} was not kept`);
    if (stored.rejectedReason !== undefined) {
      throw matrixError('M_FORBIDDEN', `Not allowed: ${stored.rejectedReason}`);
    }
    if (stored.softFailed) {
      throw matrixError('M_FORBIDDEN', 'Not allowed in the room as it is now');
    }
    return { room, stored };
  }

  /** One of our users who lets the joining one in, where the room asks for that. */
  async #authoriser(room: LiveRoom, userId: UserId): Promise<UserId | undefined> {
    const membership = room.membership(userId);
    if (membership === 'join' || membership === 'invite') return undefined;
    const check = await this.#deps.restrictedJoins.check(room, userId);
    switch (check.outcome) {
      case 'unrestricted':
        return undefined;
      case 'denied':
        throw matrixError('M_FORBIDDEN', 'The user is in none of the rooms whose members may join');
      case 'unknown':
        throw matrixError(
          'M_UNABLE_TO_AUTHORISE_JOIN',
          'This server is not in the rooms whose members may join',
        );
      case 'allowed':
        if (check.authoriser !== undefined) return check.authoriser;
        throw matrixError('M_UNABLE_TO_GRANT_JOIN', 'Nobody on this server may let the user in');
    }
  }

  /** What our signature vouches for on a restricted join is checked once more. */
  async #checkAuthoriser(room: LiveRoom, event: MatrixEvent): Promise<void> {
    const authoriser = authorisingUserOf(event, room.rules);
    if (authoriser === undefined) return;
    if (serverNameOf(authoriser as UserId) !== this.#deps.serverName) return;
    await this.#authoriser(room, event.sender);
  }
}

const checkVersion = (rules: RoomVersionRules, versions: readonly string[]): void => {
  if (versions.includes(rules.version)) return;
  throw matrixError(
    'M_INCOMPATIBLE_ROOM_VERSION',
    `The room has version ${rules.version}, which your server does not support`,
    { room_version: rules.version },
  );
};
