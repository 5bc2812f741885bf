/**
 * Knocking on rooms this server is not in, and taking back knocks and invites, through a server that
 * is in them.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#knocking-rooms and
 * https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites
 */
import type { Logger } from 'pino';
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { OutsideRooms } from '../../homeserver/rooms/outside-rooms.ts';
import type { RemoteMembership } from '../../homeserver/rooms/remote-rooms.ts';
import type { UserRoom, UserRooms } from '../../homeserver/rooms/user-rooms.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { outsideVersion } from '../../homeserver/storage/outside-memberships.ts';
import { roomsById } from '../../homeserver/storage/rooms.ts';
import { buildEvent } from '../../spec/build-event.ts';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { MatrixError, matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { referenceHash } from '../../spec/hashes.ts';
import type { EventId, ServerName } from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import type { FederationRequest } from '../http-client.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { roomIntroduction, serversNamedIn, strippedStateWith } from '../rooms/room-introduction.ts';
import { uri } from '../uri.ts';
import { firstToHelp } from './candidates.ts';
import {
  type MemberWish,
  type SignedMember,
  signedTemplate,
  type TemplateDeps,
} from './member-template.ts';
import { requestEitherVersion } from './older-servers.ts';

export interface OutboundDepartureDeps extends TemplateDeps {
  readonly db: Db;
  readonly keyRing: KeyRing;
  readonly outsideRooms: OutsideRooms;
  readonly events: EventStore;
  readonly userRooms: UserRooms;
  readonly logger: Logger;
}

const TRY_FOR_MS = 30_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_ANSWER_VALUES = 100_000;

export class OutboundDeparture {
  readonly #deps: OutboundDepartureDeps;

  constructor(deps: OutboundDepartureDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError */
  async knock(request: RemoteMembership): Promise<void> {
    const { keyRing, outsideRooms, serverName } = this.#deps;
    const { roomId, userId } = request;
    await outsideRooms.checkRoom(userId, serverName);
    await firstToHelp(request.servers, TRY_FOR_MS, async (server, leftMs) => {
      const wish = { ...request, membership: 'knock' as const, leftMs };
      const { signed, answer } = await this.#shake(server, wish);
      const { event, rules } = signed;
      const room = { id: roomId, rules };
      const introduction = await roomIntroduction(keyRing, room, answer['knock_room_state']);
      const strippedState = strippedStateWith(introduction, event);
      await outsideRooms.record(roomId, rules, event, strippedState);
    });
  }

  /**
   * Takes back an invite or a knock. A room that nobody answers for is left as far as this server is
   * concerned: its people must be able to get rid of an invite.
   */
  async leave(request: RemoteMembership): Promise<void> {
    const { outsideRooms, logger } = this.#deps;
    const rules = await this.#rulesOf(request);
    const wish = { ...request, membership: 'leave' as const, version: rules.version };
    const known = await this.#userRoom(request);
    const servers = new Set([...request.servers, ...serversNamedIn(known?.strippedState)]);
    servers.delete(this.#deps.serverName);
    let left: MatrixEvent;
    try {
      left = await firstToHelp([...servers], TRY_FOR_MS, async (server, leftMs) => {
        const { signed } = await this.#shake(server, { ...wish, leftMs });
        return signed.event;
      });
    } catch (error) {
      if (!(error instanceof MatrixError)) throw error;
      logger.info({ err: error, room: request.roomId }, 'room left without its servers');
      left = await this.#leaveAlone(request, rules, known);
    }
    await outsideRooms.record(request.roomId, rules, left, undefined);
  }

  async #shake(
    server: ServerName,
    wish: MemberWish,
  ): Promise<{ signed: SignedMember; answer: JsonObject }> {
    const deadlineMs = performance.now() + wish.leftMs;
    const signed = await signedTemplate(this.#deps, server, wish);
    const path = (version: string) =>
      `/_matrix/federation/${version}/send_${wish.membership}` +
      uri`/${wish.roomId}/${signed.event.eventId}`;
    const request: FederationRequest = {
      destination: server,
      method: 'PUT',
      path: path(wish.membership === 'leave' ? 'v2' : 'v1'),
      canonicalBody: lenientCanonicalJson(signed.event.pdu as unknown as JsonObject),
      essential: true,
      timeoutMs: Math.max(1, deadlineMs - performance.now()),
      purpose: 'person',
      requester: wish.userId,
      maxBytes: MAX_ANSWER_BYTES,
      maxValues: MAX_ANSWER_VALUES,
    };
    const { client } = this.#deps;
    const answer =
      wish.membership === 'leave'
        ? await requestEitherVersion(client, request, path('v1'))
        : await client.request(request);
    return { signed, answer };
  }

  /** Of the room as it was when this server was in it, or else as the invite said. */
  async #rulesOf({ userId, roomId }: RemoteMembership): Promise<RoomVersionRules> {
    const { db } = this.#deps;
    const [record] = await roomsById(db, [roomId]);
    const version = record?.version ?? (await outsideVersion(db, userId, roomId));
    const rules = version === undefined ? undefined : rulesOf(version);
    if (rules === undefined) throw matrixError('M_NOT_FOUND', 'Unknown room');
    return rules;
  }

  async #userRoom({ userId, roomId }: RemoteMembership): Promise<UserRoom | undefined> {
    const rooms = await this.#deps.userRooms.of(userId);
    return [...rooms.values()].find((room) => room.roomId === roomId);
  }

  /** A leave event that nobody but this server will ever see. */
  async #leaveAlone(
    { userId, roomId, content }: RemoteMembership,
    rules: RoomVersionRules,
    known: UserRoom | undefined,
  ): Promise<MatrixEvent> {
    const { events, clock, random, serverName, signingKey } = this.#deps;
    const before = known && (await events.byNid(known.roomNid, known.eventNid))?.event;
    const references = before === undefined ? [] : [before.eventId];
    const { event } = buildEvent(
      {
        type: 'm.room.member',
        stateKey: userId,
        sender: userId,
        content: { ...content, membership: 'leave' },
        roomId,
        prev: references,
        auth: references,
        depth: (before?.depth ?? 0) + 1,
        ts: clock.nowMs(),
        eventId:
          rules.eventIdFormat === 'domain'
            ? (`$${random.bytes(18).toString('base64url')}:${serverName}` as EventId)
            : undefined,
        referenceHash: () => (before === undefined ? '' : referenceHash(before.pdu, rules)),
      },
      rules,
      serverName,
      signingKey(),
    );
    return event;
  }
}
