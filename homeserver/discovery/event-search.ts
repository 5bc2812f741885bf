/**
 * Finding events by the words in them. A reader of the log keeps the index, in its own time; a
 * search has it brought up to date first. Encrypted events have no words to be found by, and history
 * fetched from other servers is not indexed.
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-search
 */
import type { RoomEventFilter } from '../../spec/filter.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { wordsOf } from '../../spec/words.ts';
import type { EventView } from '../rooms/client-events.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { Access, History } from '../rooms/history.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import type { Tx } from '../storage/database.ts';
import {
  countEventsWithWords,
  type EventWords,
  eventsWithWords,
  putEventWords,
  type SearchKey,
  searchableEvents,
  searchedTypes,
  type WordsQuery,
} from '../storage/event-words.ts';
import { LogReader, type LogReaderDeps } from '../streams/log-reader.ts';

export interface EventSearchDeps extends LogReaderDeps {
  readonly events: EventStore;
  readonly userRooms: UserRooms;
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
  readonly room: LiveRoom;
  readonly view: EventView;
  readonly rank: number;
}

export interface SearchPage {
  readonly results: readonly SearchResult[];
  /** Of all pages, before what the user may not see is left out; counted no further than 1000. */
  readonly count: number;
  /** The words looked for. */
  readonly words: readonly string[];
  readonly next: SearchPlace | undefined;
}

/** Few, because everyone else waits while they are taken apart. */
const eventsPerStep = 50;
const positionsPerStep = 5_000;
const maxTextLength = 20_000;
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
    const rooms = await this.#rooms(request);
    if (words.length === 0 || rooms.length === 0) {
      return { results: [], count: 0, words, next: undefined };
    }
    if (request.from === undefined) await this.#reader.catchUp();
    const { database, log } = this.#deps;
    const position = request.from?.position ?? log.position;
    const query = {
      words,
      keys: request.keys,
      rooms: rooms.map(({ roomNid, upTo }) => ({ roomNid, upTo: Math.min(upTo, position) })),
    };
    const [page, count] = await Promise.all([
      this.#page(request, query, position),
      countEventsWithWords(database, query, maxCount),
    ]);
    return { ...page, count, words };
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  /** Those the user is in, and those left, up to their departure. */
  async #rooms({ userId, filter }: SearchRequest) {
    const rooms = await this.#deps.userRooms.of(userId);
    return [...rooms.values()].flatMap(({ roomNid, roomId, membership, streamPos, forgotten }) => {
      if (forgotten || !filter.matchesRoom(roomId)) return [];
      if (membership === 'join') return [{ roomNid, upTo: Number.MAX_SAFE_INTEGER }];
      const wasThere = membership === 'leave' || membership === 'ban';
      return wasThere ? [{ roomNid, upTo: streamPos }] : [];
    });
  }

  async #page(
    { userId, filter, orderBy, limit, from }: SearchRequest,
    query: Pick<WordsQuery, 'words' | 'keys' | 'rooms'>,
    position: number,
  ): Promise<Pick<SearchPage, 'results' | 'next'>> {
    const { database } = this.#deps;
    const results: SearchResult[] = [];
    const accessTo = this.#accessTo(userId);
    let offset = from?.offset ?? 0;
    const end = offset + maxEvents;
    while (offset < end) {
      const found = await eventsWithWords(database, { ...query, orderBy, limit: pageSize, offset });
      for (const { roomNid, eventNid, rank } of found) {
        if (results.length === limit) return { results, next: { position, offset } };
        offset += 1;
        const stored = await this.#deps.events.byNid(roomNid, eventNid);
        if (stored === undefined || !filter.matchesEvent(stored.event)) continue;
        const access = await accessTo(stored.event.roomId);
        const [view] = access ? await this.#deps.history.shown(userId, access, [stored]) : [];
        if (access !== undefined && view !== undefined) {
          results.push({ room: access.room, view, rank });
        }
      }
      if (found.length < pageSize) return { results, next: undefined };
    }
    return { results, next: { position, offset } };
  }

  #accessTo(userId: UserId): (roomId: RoomId) => Promise<Access | undefined> {
    const known = new Map<RoomId, Promise<Access | undefined>>();
    return (roomId) => {
      let access = known.get(roomId);
      if (access === undefined) {
        access = this.#deps.history.accessIfAny(userId, roomId);
        known.set(roomId, access);
      }
      return access;
    };
  }
}

const indexWords = async (tx: Tx, after: number, upTo: number): Promise<number> => {
  const end = Math.min(upTo, after + positionsPerStep);
  const events = await searchableEvents(tx, after, end, eventsPerStep);
  const rows = events.flatMap(({ roomNid, eventNid, streamPos, type, content }): EventWords[] => {
    const key = searchedTypes[type] as SearchKey;
    const text = content[key.slice('content.'.length)];
    const words = typeof text === 'string' ? wordsOf(text.slice(0, maxTextLength)) : [];
    return words.length === 0 ? [] : [{ roomNid, eventNid, streamPos, key, words }];
  });
  if (rows.length > 0) await putEventWords(tx, rows);
  return events.length < eventsPerStep ? end : (events.at(-1)?.streamPos ?? end);
};
