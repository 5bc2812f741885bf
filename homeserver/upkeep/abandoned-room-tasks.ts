/** Rooms that nobody here has to do with any more: they are found, and after a while they go. */
import type { ServerName } from '../../spec/identifiers.ts';
import type { AbandonedRooms } from '../rooms/abandoned-rooms.ts';
import {
  abandonedBefore,
  deleteAbandoned,
  isRoomKept,
  noteAbandoned,
  roomsAfter,
} from '../storage/abandoned-rooms.ts';
import { deletePurged, purgedRoom, purgedTables } from '../storage/purged-rooms.ts';
import { DAY_MS, HOUR_MS, type UpkeepTask } from './upkeep-task.ts';

/** Everything that holds a room, and ends with it. */
const roomTables: readonly string[] = [
  'rooms',
  'room_heads',
  'room_aliases',
  'published_rooms',
  'purged_rooms',
  ...purgedTables,
];

/** One step looks at rooms for so long. */
const LOOKING_MS = 15;

export interface EndOfRooms {
  readonly abandonedRooms: AbandonedRooms;
  readonly serverName: ServerName;
  /** From when the last of this server has forgotten a room. */
  readonly keptMs: number;
}

/** Finds them, and those to which somebody has come back. */
const forgottenRooms = ({ serverName }: EndOfRooms): UpkeepTask => ({
  name: 'forgotten rooms',
  tables: ['abandoned_rooms'],
  everyMs: DAY_MS,
  maxRows: 500,
  async step(tx, { nowMs, limit, after }) {
    const startedMs = performance.now();
    // The last room that is done with, and how far the next one is.
    let [done, entry] = (after ?? [0]) as [number, string | undefined];
    const page = await roomsAfter(tx, done, limit);
    let deleted = 0;
    for (const { roomNid, isPresent, wasAbandoned } of page) {
      const { isKept, next } = isPresent
        ? { isKept: true, next: undefined }
        : await isRoomKept(tx, roomNid, serverName, entry);
      if (next !== undefined) return { deleted, next: [done, next] };
      if (isKept && wasAbandoned) {
        await deleteAbandoned(tx, roomNid);
        deleted += 1;
      }
      if (!isKept && !wasAbandoned) await noteAbandoned(tx, roomNid, nowMs);
      done = roomNid;
      entry = undefined;
      if (performance.now() - startedMs > LOOKING_MS) return { deleted, next: [done] };
    }
    return { deleted, next: page.length < limit ? undefined : [done] };
  },
});

/**
 * Deletes what is left of rooms that are gone, and ends the next one when nothing is: how many go in a
 * time follows from how much they hold. Without `ends`, no more are ended.
 */
const goneRooms = (ends: EndOfRooms | undefined): UpkeepTask => ({
  name: 'gone rooms',
  tables: roomTables,
  everyMs: HOUR_MS,
  maxRows: 500,
  async step(tx, { nowMs, limit, after }) {
    const gone = await purgedRoom(tx);
    if (gone !== undefined) {
      const [nid, phase] = (after ?? []) as readonly number[];
      const from = nid === gone.roomNid ? (phase ?? 0) : 0;
      const { deleted, next } = await deletePurged(tx, gone, from, limit);
      return { deleted, next: [gone.roomNid, next ?? 0] };
    }
    const room = ends && (await abandonedBefore(tx, nowMs - ends.keptMs));
    if (room === undefined) return { deleted: 0, next: undefined };
    const hasEnded = await ends?.abandonedRooms.end(room);
    // Somebody has been there since: found abandoned again, it is kept as long again.
    if (hasEnded === false) await deleteAbandoned(tx, room.roomNid);
    // Behind the others, which need not wait for it.
    if (hasEnded === undefined) await noteAbandoned(tx, room.roomNid, nowMs);
    return { deleted: hasEnded === true ? 1 : 0, next: [room.roomNid, 0] };
  },
});

/** Where `ends` is undefined, rooms are kept for ever. */
export const abandonedRoomTasks = (ends: EndOfRooms | undefined): UpkeepTask[] => [
  ...(ends === undefined ? [] : [forgottenRooms(ends)]),
  goneRooms(ends),
];
