/**
 * The published room directory.
 * https://spec.matrix.org/v1.19/client-server-api/#published-room-directory
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { knownAsker } from '../known-asker.ts';
import type { Database } from '../storage/database.ts';
import { type PublishedRoom, publishedRooms, stateContents } from '../storage/published-rooms.ts';
import { isPublished, setPublished } from '../storage/room-directory.ts';
import type { LocalEvents } from './local-events.ts';
import type { PublicRoomsQuery, RemoteRooms } from './remote-rooms.ts';
import type { RoomRegistry } from './room-registry.ts';
import { listedRoom, listedTypes } from './room-summary.ts';

/** Who may list rooms: an operator's choice. */
export type DirectoryPublishers = 'everyone' | 'admins' | 'nobody';

export interface PublicRoomsDeps {
  readonly publishers: DirectoryPublishers;
  readonly database: Database;
  readonly serverName: ServerName;
  readonly registry: RoomRegistry;
  readonly localEvents: LocalEvents;
  readonly remote: RemoteRooms;
}

const maxPage = 500;
/** Rooms whose state is read at one time while searching. */
const searchBatch = 200;
const tokenPattern = /^p(\d{1,9})$/;

/** @throws MatrixError M_FORBIDDEN */
export const assertMayPublish = (publishers: DirectoryPublishers, isAdmin: boolean): void => {
  if (publishers === 'everyone' || (publishers === 'admins' && isAdmin)) return;
  throw matrixError(
    'M_FORBIDDEN',
    publishers === 'admins'
      ? 'Only administrators of this server list rooms in its directory'
      : 'This server lists no further rooms in its directory',
  );
};

export class PublicRooms {
  readonly #deps: PublicRoomsDeps;

  constructor(deps: PublicRoomsDeps) {
    this.#deps = deps;
  }

  /**
   * As the response of `/publicRooms` has it.
   * @param asker for whom another server is asked; nobody unknown makes us do so
   * @throws MatrixError M_INVALID_PARAM for the token of the list, M_MISSING_TOKEN without an asker
   */
  async list(query: PublicRoomsQuery, server?: ServerName, asker?: UserId): Promise<JsonObject> {
    const { remote, serverName } = this.#deps;
    if (server !== undefined && server !== serverName) {
      return remote.publicRooms(server, query, knownAsker(asker));
    }
    // No network but Matrix itself has rooms in this directory.
    if (query.networkId !== undefined) return { chunk: [], total_room_count_estimate: 0 };
    const start = query.since === undefined ? 0 : offsetOf(query.since);
    const limit = Math.min(query.limit ?? maxPage, maxPage);
    const all = await publishedRooms(this.#deps.database);
    const { chunk, next } = await this.#page(all, start, limit, query);
    return {
      chunk,
      ...(next < all.length && { next_batch: `p${next}` }),
      ...(start > 0 && { prev_batch: `p${Math.max(0, start - limit)}` }),
      total_room_count_estimate: all.length,
    };
  }

  /** Of a room there is not, as of one that is not listed: anyone may ask. */
  isListed(roomId: RoomId): Promise<boolean> {
    return isPublished(this.#deps.database, roomId);
  }

  /**
   * Those who may set the room's canonical alias may list it, and administrators, as far as the
   * operator lets them; taking it from the list is always possible. Others are not told whether there
   * is such a room.
   * @throws MatrixError M_FORBIDDEN; M_NOT_FOUND, to administrators
   */
  async setListed(
    userId: UserId,
    roomId: RoomId,
    listed: boolean,
    isAdmin: boolean,
  ): Promise<void> {
    const { registry, localEvents, database, publishers } = this.#deps;
    if (listed) assertMayPublish(publishers, isAdmin);
    const room = await registry.find(roomId);
    if (room === undefined && isAdmin) throw roomNotFound();
    const isMember = room?.committed.membership(userId) === 'join';
    const mayList =
      isAdmin ||
      (room !== undefined &&
        isMember &&
        (await localEvents.powerLevels(room)).canSend(userId, 'm.room.canonical_alias', true));
    if (!mayList) throw matrixError('M_FORBIDDEN', 'You may not change how this room is listed');
    await database.transaction((tx) => setPublished(tx, roomId, listed));
  }

  async #page(
    all: readonly PublishedRoom[],
    start: number,
    limit: number,
    query: PublicRoomsQuery,
  ): Promise<{ chunk: JsonObject[]; next: number }> {
    const chunk: JsonObject[] = [];
    let next = start;
    while (next < all.length && chunk.length < limit) {
      const batch = all.slice(next, next + searchBatch);
      const contents = await stateContents(
        this.#deps.database,
        batch.map(({ roomNid }) => roomNid),
        listedTypes,
      );
      for (const room of batch) {
        if (chunk.length === limit) break;
        next += 1;
        const summary = listedRoom(room, contents.get(room.roomNid) ?? new Map());
        if (isWanted(summary, query)) chunk.push(summary);
      }
    }
    return { chunk, next };
  }
}

const roomNotFound = () => matrixError('M_NOT_FOUND', 'Room not found');

const offsetOf = (token: string): number => {
  const match = tokenPattern.exec(token);
  if (match === null) throw matrixError('M_INVALID_PARAM', "'since' is not a token of this list");
  return Number(match[1]);
};

const isWanted = (summary: JsonObject, { searchTerm, roomTypes }: PublicRoomsQuery): boolean => {
  if (roomTypes !== undefined) {
    const type = (summary['room_type'] as string | undefined) ?? null;
    if (!roomTypes.includes(type)) return false;
  }
  if (searchTerm === undefined || searchTerm === '') return true;
  const term = searchTerm.toLowerCase();
  return [summary['name'], summary['topic'], summary['canonical_alias']].some(
    (text) => typeof text === 'string' && text.toLowerCase().includes(term),
  );
};
