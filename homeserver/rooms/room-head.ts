/** Rooms whose row names events that are not there: they go on from those that are. */
import type { Logger } from 'pino';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';

export interface RoomHeadDeps {
  readonly snapshots: SnapshotStore;
  readonly logger: Logger;
}

/** A room as its row has it. */
export interface HeadRow {
  readonly room_nid: number;
  readonly extremities: readonly number[];
  readonly snapshot_nid: number;
}

/**
 * The state to go on with; the next event mends the row.
 * @param found the extremities that are stored
 * @throws when there is none of them, or no state of the newest
 */
export const goesOnWithout = async (
  { snapshots, logger }: RoomHeadDeps,
  { room_nid: roomNid, extremities, snapshot_nid: nid }: HeadRow,
  found: readonly StoredEvent[],
): Promise<StateSnapshot> => {
  if (found.length === extremities.length) return snapshots.load(roomNid, nid);
  const [newest] = [...found].sort((a, b) => b.nid - a.nid);
  if (newest?.snapshotAfter === undefined) {
    throw new Error(`Room ${roomNid} is damaged: none of ${extremities.join(', ')} is stored`);
  }
  const { snapshotAfter } = newest;
  logger.error(
    { roomNid, extremities, found: found.length },
    'a room names events that are absent',
  );
  return snapshots.load(roomNid, nid).catch(() => snapshots.load(roomNid, snapshotAfter));
};
