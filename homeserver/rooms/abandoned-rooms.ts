/**
 * Ends rooms that nobody of this server has to do with any more.
 * https://spec.matrix.org/v1.19/client-server-api/#leaving-rooms ("eligible for deletion")
 *
 * A room ends in one write to the log: from then on it is unknown here, and whoever comes to it gets
 * another room of the same id, with another nid, that shares nothing with what is still to be deleted.
 */
import type { Logger } from 'pino';
import type { RoomId, ServerName } from '../../spec/identifiers.ts';
import type { KeyedQueue } from '../keyed-queue.ts';
import {
  type AbandonedRoom,
  hasEventsAfter,
  isRoomKept,
  roomPurges,
} from '../storage/abandoned-rooms.ts';
import type { Db } from '../storage/database.ts';
import { freshGround, type Log, rowsOf } from '../streams/log.ts';
import type { LiveRoom } from './live-room.ts';
import type { RoomRegistry } from './room-registry.ts';

export interface AbandonedRoomsDeps {
  readonly logger: Logger;
  readonly database: Db;
  readonly log: Log;
  readonly registry: RoomRegistry;
  readonly roomTurns: KeyedQueue<RoomId>;
  readonly serverName: ServerName;
}

export class AbandonedRooms {
  readonly #deps: AbandonedRoomsDeps;

  constructor(deps: AbandonedRoomsDeps) {
    this.#deps = deps;
  }

  /**
   * Ends the room, unless somebody has come to it since. Whether it has ended, durably; undefined when
   * that failed, which is logged.
   */
  async end(room: AbandonedRoom): Promise<boolean | undefined> {
    const { logger, registry, roomTurns } = this.#deps;
    try {
      // Invites and joins to rooms that this server is not in are made in these turns, and everything
      // else that happens in a room in its own.
      return await roomTurns.run(room.roomId, async () => {
        const live = await registry.find(room.roomId);
        if (live === undefined) return this.#end(room, undefined);
        return live.exclusive(() => this.#end(room, live));
      });
    } catch (error) {
      logger.warn({ err: error, roomId: room.roomId }, 'a forgotten room could not be deleted');
      return undefined;
    }
  }

  async #end(
    { roomId, roomNid, sincePos }: AbandonedRoom,
    live: LiveRoom | undefined,
  ): Promise<boolean> {
    const { database, log, serverName } = this.#deps;
    await live?.durable();
    let after: string | undefined;
    do {
      const { isKept, next } = await isRoomKept(database, roomNid, serverName, after);
      if (isKept) return false;
      after = next;
    } while (after !== undefined);
    if (await hasEventsAfter(database, roomNid, sincePos)) return false;
    await log.append({
      parts: [rowsOf(roomPurges, [roomNid])],
      ground: live?.ground ?? freshGround(roomId),
      stillValid: () => live?.dead !== true,
    });
    return true;
  }
}
