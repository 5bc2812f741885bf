/**
 * Rooms this server is not in, but one of its users is invited to, or knocks on: all there is of
 * them is a member event and the stripped state that came with it. Anyone at all may send an invite,
 * so what may wait for an answer is bounded, by user and by server.
 */
import { exactJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { storedEvent } from '../../spec/event-format.ts';
import {
  type EventId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { Clock } from '../clock.ts';
import { KeyedQueue } from '../keyed-queue.ts';
import { type Owners, whereOwned } from '../owners.ts';
import type { Db } from '../storage/database.ts';
import { type RoomWrite, roomEvents } from '../storage/event-section.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import {
  outsideMemberships,
  type Waiting,
  waitingOfServer,
  waitingOfUser,
} from '../storage/outside-memberships.ts';
import { roomsById } from '../storage/rooms.ts';
import { freshGround, type Log, rowsOf } from '../streams/log.ts';
import type { EventStore } from './event-store.ts';
import { outlierOf } from './outliers.ts';
import { membershipOf } from './stored-event.ts';
import { emptyWrite, rowOf } from './write-rows.ts';

export interface OutsideRoomsDeps {
  readonly db: Db;
  readonly log: Log;
  readonly ids: IdAllocator;
  readonly events: EventStore;
  readonly clock: Clock;
  readonly owners: Owners;
  /** Two writers must not both make a room's row. */
  readonly roomTurns: KeyedQueue<RoomId>;
}

const kibibyte = 1024;
/** What may wait for one user's answer: a sync from nothing has all of it. */
const maxOfUser: Waiting = { count: 500, bytes: 4096 * kibibyte };
/** The share of it that one server may take. */
const maxOfUserFromServer: Waiting = { count: 100, bytes: 1024 * kibibyte };
/** What may wait of all that a server has sent to all users within a week. */
const maxOfServer: Waiting = { count: 20_000, bytes: 65_536 * kibibyte };
const weekMs = 7 * 24 * 60 * 60_000;

interface Membership {
  readonly roomId: RoomId;
  readonly version: string;
  readonly event: MatrixEvent;
  readonly strippedState: string | undefined;
}

type MembershipText = [
  roomId: RoomId,
  version: string,
  eventId: EventId,
  json: string,
  strippedState?: string,
];

const membershipFrom = (...[roomId, version, id, json, strippedState]: MembershipText) => ({
  roomId,
  version,
  event: storedEvent(json, id),
  strippedState,
});

export class OutsideRooms {
  readonly #deps: OutsideRoomsDeps;
  /** What waits for a user is counted before more is added. */
  readonly #byUser = new KeyedQueue<UserId>();

  constructor(deps: OutsideRoomsDeps) {
    this.#deps = deps;
    deps.owners.answer('outsideRooms.record', (...text: MembershipText) =>
      this.#count(membershipFrom(...text)),
    );
    deps.owners.answer('outsideRooms.write', (...text: MembershipText) =>
      this.#inRoom(membershipFrom(...text)),
    );
  }

  /**
   * Records a user's membership in a room this server is not in: an invite or knock with its
   * stripped state (a JSON array), or a leave that ends one. Resolves when it is durable.
   * @throws MatrixError M_FORBIDDEN where too much waits for the user's answer already
   */
  async record(
    roomId: RoomId,
    { version }: RoomVersionRules,
    event: MatrixEvent,
    strippedState: string | undefined,
  ): Promise<void> {
    const user = event.stateKey as UserId;
    await this.#atOwner(user, 'record', { roomId, version, event, strippedState });
  }

  /** A turn of the user at the user's owner, and in it one of the room at the room's. */
  #atOwner(key: RoomId | UserId, step: 'record' | 'write', membership: Membership): Promise<void> {
    const { owners } = this.#deps;
    const here = () => (step === 'record' ? this.#count(membership) : this.#inRoom(membership));
    return whereOwned(owners, key, here, async () => {
      const { roomId, version, event, strippedState } = membership;
      const args = [roomId, version, event.eventId, exactJson(event.pdu), strippedState];
      await owners.ask(key, `outsideRooms.${step}`, args);
    });
  }

  async #count(membership: Membership): Promise<void> {
    const { roomId, event, strippedState } = membership;
    const user = event.stateKey as UserId;
    await this.#byUser.run(user, async () => {
      if (strippedState !== undefined) await this.checkRoom(user, serverNameOf(event.sender));
      await this.#atOwner(roomId, 'write', membership);
    });
  }

  #inRoom(membership: Membership): Promise<void> {
    return this.#deps.roomTurns.run(membership.roomId, () => this.#write(membership));
  }

  /**
   * Whether more may wait for the user's answer.
   * @throws MatrixError M_FORBIDDEN
   */
  async checkRoom(user: UserId, server: ServerName): Promise<void> {
    const { db, clock } = this.#deps;
    const { all, fromServer } = await waitingOfUser(db, user, server);
    if (isFull(all, maxOfUser)) {
      throw matrixError(
        'M_FORBIDDEN',
        'Too many invites and knocks of the user wait for an answer',
      );
    }
    if (server === serverNameOf(user)) return;
    if (isFull(fromServer, maxOfUserFromServer)) {
      throw matrixError(
        'M_FORBIDDEN',
        'Too many invites of your server wait for the user’s answer',
      );
    }
    if (isFull(await waitingOfServer(db, server, clock.nowMs() - weekMs), maxOfServer)) {
      throw matrixError('M_FORBIDDEN', 'Too many invites of your server wait for an answer');
    }
  }

  async #write({ roomId, version, event, strippedState }: Membership): Promise<void> {
    const { db, log, ids, events, clock } = this.#deps;
    if ((await events.byId(event.eventId)) !== undefined) return;
    await ids.reserve(2);
    const [record] = await roomsById(db, [roomId]);
    const roomNid = record?.room_nid ?? ids.next();
    const stored = outlierOf(ids.next(), roomNid, event, undefined);
    const receivedAtMs = clock.nowMs();
    const userId = event.stateKey ?? '';
    const write: RoomWrite = {
      ...emptyWrite(roomNid),
      // What the room's version is, only its create event can tell.
      ...(record === undefined && {
        create: { roomId, version: null, createdAtMs: receivedAtMs },
      }),
      events: [{ ...rowOf(stored, exactJson(event.pdu)), place: 'announced' }],
      changes: [
        {
          causedByNid: stored.nid,
          rows: [],
          users: [
            {
              userId,
              membership: membershipOf(event) ?? 'leave',
              eventNid: stored.nid,
              strippedState: strippedState ?? null,
            },
          ],
        },
      ],
    };
    const waiting =
      strippedState === undefined
        ? undefined
        : {
            eventNid: stored.nid,
            server: serverNameOf(event.sender),
            roomVersion: version,
            bytes: Buffer.byteLength(strippedState),
            receivedAtMs,
          };
    await log.append({
      ground: freshGround(roomId),
      parts: [
        rowsOf(roomEvents, [write]),
        rowsOf(outsideMemberships, [{ userId, roomNid, waiting }]),
      ],
    });
  }
}

const isFull = (waiting: Waiting, max: Waiting): boolean =>
  waiting.count >= max.count || waiting.bytes >= max.bytes;
