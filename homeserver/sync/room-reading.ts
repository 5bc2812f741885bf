import type { EventView } from '../rooms/client-events.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { ReadableRoom } from '../rooms/stored-rooms.ts';
import type { Stretch } from '../rooms/timeline.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';

/** What one room's part is made of. */
export interface RoomReading {
  readonly room: UserRoom;
  readonly live: ReadableRoom;
  readonly access: RoomAccess<ReadableRoom>;
  readonly stretch: Stretch;
  readonly views: readonly EventView[];
  /** The reader has seen nothing of this room's present stay. */
  readonly fromStart: boolean;
  /** State comes in full, because of that or because it was asked for. */
  readonly fullState: boolean;
  /** Only events at or below this are read. */
  readonly upTo: number;
}
