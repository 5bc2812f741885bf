/**
 * Finding an event by when it was sent, among those this server has.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
 */
import { matrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { RoomAccesses } from '../rooms/room-accesses.ts';
import type { Db } from '../storage/database.ts';
import { eventsNearTime } from '../storage/events.ts';

export interface EventsByTimeDeps {
  readonly db: Db;
  readonly events: EventStore;
  readonly access: RoomAccesses;
}

const pageSize = 50;
/** Events looked at for one that the user may see. */
const maxEvents = 500;

export class EventsByTime {
  readonly #deps: EventsByTimeDeps;

  constructor(deps: EventsByTimeDeps) {
    this.#deps = deps;
  }

  /**
   * The event nearest to a time that the user may see, not before it when `forwards`, not after it
   * otherwise.
   * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
   */
  async nearest(
    userId: UserId,
    roomId: RoomId,
    timestampMs: number,
    direction: 'backwards' | 'forwards',
  ): Promise<MatrixEvent> {
    const { db, events } = this.#deps;
    const access = await this.#deps.access.of(userId, roomId);
    for (let offset = 0; offset < maxEvents; offset += pageSize) {
      const page = { limit: pageSize, offset };
      const records = await eventsNearTime(db, access.room.nid, timestampMs, direction, page);
      const [view] = await access.views(events.adopt(records));
      if (view !== undefined) return view.stored.event;
      if (records.length < pageSize) break;
    }
    throw matrixError('M_NOT_FOUND', 'There is no event on that side of the time');
  }
}
