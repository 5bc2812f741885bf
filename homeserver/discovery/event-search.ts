/**
 * Finding events by the words in them. A reader of the log keeps the index, in its own time; a
 * search has it brought up to date first. Encrypted events have no words to be found by, and history
 * fetched from other servers is not indexed.
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-search
 */
import type { RoomEventFilter } from '../../spec/filter.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { wordsOf } from '../../spec/words.ts';
import type { EventView } from '../rooms/client-events.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { History } from '../rooms/history.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { RoomAccesses } from '../rooms/room-accesses.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import {
  countEventsWithWords,
  eventsWithWords,
  roomsWithWords,
  type SearchKey,
  type WordsQuery,
  type WordsRange,
} from '../storage/event-words.ts';
import { LogReader, type LogReaderDeps } from '../streams/log-reader.ts';
import { indexWords } from './index-words.ts';

export interface EventSearchDeps extends LogReaderDeps {
  readonly events: EventStore;
  readonly registry: RoomRegistry;
  readonly userRooms: UserRooms;
  readonly access: RoomAccesses;
  readonly history: History;
}

export interface SearchRequest {
  readonly userId: UserId;
  readonly term: string;
  readonly keys: readonly SearchKey[];
  readonly filter: RoomEventFilter;
  readonly orderBy: 'rank' | 'recent';
  readonly limit: number;
  readonly from: SearchPlace | undefined;
}

/** Where a further page begins: among what there was at a position of the log. */
export interface SearchPlace {
  readonly position: number;
  readonly offset: number;
}

export interface SearchResult {
  readonly access: RoomAccess;
  readonly view: EventView;
  readonly rank: number;
}

export interface SearchPage {
  readonly results: readonly SearchResult[];
  /** Of all pages, before the filter by sender and type; counted no further than 1000. */
  readonly count: number;
  /** The words looked for. */
  readonly words: readonly string[];
  readonly next: SearchPlace | undefined;
}

const maxWords = 20;
const maxCount = 1_000;
const pageSize = 50;
/** Events that one request looks at; where the user may see few of them, it answers with few. */
const maxEvents = 1_000;

export class EventSearch {
  readonly #deps: EventSearchDeps;
  readonly #reader: LogReader;

  constructor(deps: EventSearchDeps) {
    this.#deps = deps;
    this.#reader = new LogReader('event words', deps, indexWords);
  }

  async search(request: SearchRequest): Promise<SearchPage> {
    const words = wordsOf(request.term, maxWords);
    if (words.length === 0) return { results: [], count: 0, words, next: undefined };
    if (request.from === undefined) await this.#reader.catchUp();
    const { database, log } = this.#deps;
    const position = request.from?.position ?? log.position;
    const accesses = await this.#accesses(request, words);
    const rooms = await rangesOf(accesses.values(), position);
    if (rooms.length === 0) return { results: [], count: 0, words, next: undefined };
    const query = { words, keys: request.keys, rooms };
    const [page, count] = await Promise.all([
      this.#page(request, query, position, accesses),
      countEventsWithWords(database, query, maxCount),
    ]);
    return { ...page, count, words };
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  /** By room nid: to the rooms of the user, left ones included, that have the words at all. */
  async #accesses(
    { userId, filter }: SearchRequest,
    words: readonly string[],
  ): Promise<Map<number, RoomAccess>> {
    const { database, registry, userRooms, access } = this.#deps;
    const own = new Map(
      [...(await userRooms.of(userId))].filter(
        ([, { forgotten, roomId }]) => !forgotten && filter.matchesRoom(roomId),
      ),
    );
    const found = await roomsWithWords(database, words, [...own.keys()]);
    const lives = await registry.findMany(found);
    const accesses = new Map<number, RoomAccess>();
    for (const [nid, room] of lives) {
      accesses.set(nid, await access.inRoom(userId, room, own.get(nid)));
    }
    return accesses;
  }

  async #page(
    { filter, orderBy, limit, from }: SearchRequest,
    query: Pick<WordsQuery, 'words' | 'keys' | 'rooms'>,
    position: number,
    accesses: ReadonlyMap<number, RoomAccess>,
  ): Promise<Pick<SearchPage, 'results' | 'next'>> {
    const { database } = this.#deps;
    const results: SearchResult[] = [];
    let offset = from?.offset ?? 0;
    const end = offset + maxEvents;
    while (offset < end) {
      const found = await eventsWithWords(database, { ...query, orderBy, limit: pageSize, offset });
      for (const { roomNid, eventNid, rank } of found) {
        if (results.length === limit) return { results, next: { position, offset } };
        offset += 1;
        const stored = await this.#deps.events.byNid(roomNid, eventNid);
        if (stored === undefined || !filter.matchesEvent(stored.event)) continue;
        const access = accesses.get(roomNid);
        const [view] = access ? await this.#deps.history.shown(access, [stored]) : [];
        if (access !== undefined && view !== undefined) results.push({ access, view, rank });
      }
      if (found.length < pageSize) return { results, next: undefined };
    }
    return { results, next: { position, offset } };
  }
}

/** Counts and places are told of, so nothing is looked at that the user may not see. */
const rangesOf = async (
  accesses: Iterable<RoomAccess>,
  position: number,
): Promise<WordsRange[]> => {
  const ranges: WordsRange[] = [];
  for (const access of accesses) {
    const window = await access.window();
    if (window === undefined) continue;
    const upTo = Math.min(window.upTo, position);
    ranges.push({ roomNid: access.room.nid, after: window.after, upTo });
  }
  return ranges;
};
