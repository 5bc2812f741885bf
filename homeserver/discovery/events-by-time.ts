/**
 * Finding an event by when it was sent, among those this server has.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
 */
import { matrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { HistoryFiller, HistoryGap } from '../rooms/history.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { RoomAccesses } from '../rooms/room-accesses.ts';
import { startOfRoom } from '../rooms/timeline.ts';
import type { Db } from '../storage/database.ts';
import { eventsNearTime } from '../storage/events.ts';
import { nearestGap } from '../storage/gaps.ts';

export interface EventsByTimeDeps {
  readonly db: Db;
  readonly events: EventStore;
  readonly access: RoomAccesses;
  readonly filler: HistoryFiller;
}

type Direction = 'backwards' | 'forwards';

const pageSize = 50;
/** Events looked at for one that the user may see. */
const maxEvents = 500;
const nearestOne = { limit: 1, offset: 0 };

export class EventsByTime {
  readonly #deps: EventsByTimeDeps;

  constructor(deps: EventsByTimeDeps) {
    this.#deps = deps;
  }

  /**
   * The event nearest to a time that the user may see, not before it when `forwards`, not after it
   * otherwise. Where events of that time are missing here, other servers are asked for a nearer one.
   * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
   */
  async nearest(
    userId: UserId,
    roomId: RoomId,
    timestampMs: number,
    direction: Direction,
  ): Promise<MatrixEvent> {
    const access = await this.#deps.access.of(userId, roomId);
    const { room } = access;
    const here = await this.#nearestHere(access, timestampMs, direction);
    const withinMs =
      here === undefined ? Number.MAX_SAFE_INTEGER : Math.abs(here.originServerTs - timestampMs);
    const gap = withinMs === 0 ? undefined : await this.#gapAt(room, timestampMs);
    let event = here;
    if (gap !== undefined) {
      const wanted = { asker: userId, gap, timestampMs, direction, withinMs };
      const hasCome = await this.#deps.filler.fetchNear(room, wanted);
      if (hasCome) event = await this.#nearestHere(access, timestampMs, direction);
    }
    if (event === undefined) {
      throw matrixError('M_NOT_FOUND', 'There is no event on that side of the time');
    }
    return event;
  }

  async #nearestHere(
    access: RoomAccess,
    timestampMs: number,
    direction: Direction,
  ): Promise<MatrixEvent | undefined> {
    const { db, events } = this.#deps;
    for (let offset = 0; offset < maxEvents; offset += pageSize) {
      const page = { limit: pageSize, offset };
      const records = await eventsNearTime(db, access.room.nid, timestampMs, direction, page);
      const [view] = await access.views(events.adopt(records));
      if (view !== undefined) return view.stored.event;
      if (records.length < pageSize) break;
    }
    return undefined;
  }

  /** Whether events are missing between the one before a time and the one after it. */
  async #gapAt(room: LiveRoom, timestampMs: number): Promise<HistoryGap | undefined> {
    if (room.missingPrevEvents.size === 0) return undefined;
    const { db } = this.#deps;
    const [before, after] = await Promise.all(
      (['backwards', 'forwards'] as const).map(async (direction) => {
        const [record] = await eventsNearTime(db, room.nid, timestampMs, direction, nearestOne);
        return record;
      }),
    );
    // After the newest event nothing is missing: whatever comes is sent here.
    if (after === undefined) return undefined;
    const above =
      before === undefined
        ? startOfRoom
        : { streamPos: before.stream_pos ?? 0, backfillPos: before.backfill_pos + 1 };
    const upTo = { streamPos: after.stream_pos ?? 0, backfillPos: after.backfill_pos };
    return nearestGap(db, room.nid, above, upTo);
  }
}
