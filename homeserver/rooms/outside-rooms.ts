/**
 * Rooms this server is not in, but one of its users is invited to, or knocks on: all there is of
 * them is a member event and the stripped state that came with it.
 */
import type { MatrixEvent } from '../../spec/event.ts';
import type { RoomId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { Clock } from '../clock.ts';
import type { Db } from '../storage/database.ts';
import { type RoomWrite, roomEvents } from '../storage/event-section.ts';
import { roomsById } from '../storage/events.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import type { EventStore } from './event-store.ts';
import { outlierOf } from './outliers.ts';
import type { RoomObserver } from './room-observer.ts';
import { membershipOf } from './stored-event.ts';
import { emptyWrite, rowOf } from './write-rows.ts';

export interface OutsideRoomsDeps {
  readonly db: Db;
  readonly log: Log;
  readonly ids: IdAllocator;
  readonly events: EventStore;
  readonly observer: RoomObserver;
  readonly clock: Clock;
}

export class OutsideRooms {
  readonly #deps: OutsideRoomsDeps;
  /** Two writers must not both make a room's row. */
  readonly #running = new Map<RoomId, Promise<unknown>>();

  constructor(deps: OutsideRoomsDeps) {
    this.#deps = deps;
  }

  /**
   * Records a user's membership in a room this server is not in: an invite or knock with its
   * stripped state (a JSON array), or a leave that ends one. Resolves when it is durable.
   */
  async record(
    roomId: RoomId,
    rules: RoomVersionRules,
    event: MatrixEvent,
    strippedState: string | undefined,
  ): Promise<void> {
    const before = this.#running.get(roomId) ?? Promise.resolve();
    const run = before
      .catch(() => undefined)
      .then(() => this.#record(roomId, rules, event, strippedState));
    this.#running.set(roomId, run);
    try {
      await run;
    } finally {
      if (this.#running.get(roomId) === run) this.#running.delete(roomId);
    }
  }

  async #record(
    roomId: RoomId,
    rules: RoomVersionRules,
    event: MatrixEvent,
    strippedState: string | undefined,
  ): Promise<void> {
    const { db, log, ids, events, observer, clock } = this.#deps;
    if ((await events.byId(event.eventId)) !== undefined) return;
    await ids.reserve(2);
    const [record] = await roomsById(db, [roomId]);
    const roomNid = record?.room_nid ?? ids.next();
    const stored = outlierOf(ids.next(), roomNid, event, undefined);
    const write: RoomWrite = {
      ...emptyWrite(roomNid),
      ...(record === undefined && {
        create: { roomId, version: rules.version, createdAtMs: clock.nowMs() },
      }),
      events: [{ ...rowOf(stored, JSON.stringify(event.pdu)), place: 'announced' }],
      changes: [
        {
          causedByNid: stored.nid,
          rows: [],
          users: [
            {
              userId: event.stateKey ?? '',
              membership: membershipOf(event) ?? 'leave',
              eventNid: stored.nid,
              strippedState: strippedState ?? null,
            },
          ],
        },
      ],
    };
    await log.append({
      parts: [rowsOf(roomEvents, [write])],
      committed: () => {
        events.remember(stored);
        observer.usersChanged(roomNid, roomId, write);
      },
    });
  }
}
