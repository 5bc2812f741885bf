/** Reading stretches of a room's timeline, from memory where it reaches and the database beyond. */
import { type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { Db } from '../storage/database.ts';
import { latestByRoom, type TimelinePlace, timelineBetween } from '../storage/events.ts';
import { newestGaps } from '../storage/gaps.ts';
import { stateChangesBetween } from '../storage/snapshots.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import { maxEntries } from './recent-timeline.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { Removed, StateRef } from './state-snapshot.ts';
import { type StoredEvent, stateRefOf } from './stored-event.ts';
import type { ReadableRoom } from './stored-rooms.ts';

/** Chooses events by a filter; what it refuses does not count against the limit. */
export type Accept = (stored: StoredEvent) => boolean;

export interface Stretch {
  /** In timeline order. */
  readonly events: readonly StoredEvent[];
  /** Accepted events within the bounds were left out, or are missing here: they end at a gap. */
  readonly limited: boolean;
}

/**
 * A stretch from its last gap on, where events are missing: what comes before an event none of whose
 * prev events is here does not join on to it.
 */
export const sinceLastGap = (
  { missingPrevEvents }: Pick<ReadableRoom, 'missingPrevEvents'>,
  stretch: Stretch,
): Stretch => {
  if (missingPrevEvents.size === 0) return stretch;
  const at = stretch.events.findLastIndex(
    ({ event: { prevEventIds } }) =>
      prevEventIds.length > 0 && prevEventIds.every((id) => missingPrevEvents.has(id)),
  );
  return at === -1 ? stretch : { events: stretch.events.slice(at), limited: true };
};

/** Events read with one statement: as many as clients ask for at a time, and one that tells of more. */
const maxRows = 101;
/** Statements for one answer whose filter refuses nearly everything. */
const maxReads = 20;

/** Of a stretch that is taken into memory. */
const maxRecalledChanges = 200;

type StateChanges = Map<StateKey, StateRef | Removed>;

const noGaps: ReadonlyMap<number, TimelinePlace> = new Map();

export const startOfRoom: TimelinePlace = { streamPos: 0, backfillPos: 0 };

export class Timeline {
  readonly #db: Db;
  readonly #events: EventStore;
  readonly #registry: RoomRegistry;
  /** By room: where its memory began when it was recalled, which is tried once. */
  readonly #recalls = new WeakMap<
    LiveRoom,
    { readonly from: number; readonly done: Promise<void> }
  >();

  constructor(db: Db, events: EventStore, registry: RoomRegistry) {
    this.#db = db;
    this.#events = events;
    this.#registry = registry;
  }

  /** The newest events with `after < position <= upTo`, from memory alone; undefined if it cannot. */
  fromMemory(
    roomNid: number,
    after: number,
    upTo: number,
    limit: number,
    accept: Accept,
  ): Stretch | undefined {
    const entries = this.#registry.cached(roomNid)?.recent.between(after, upTo);
    // Whether a gap is still there, the database knows.
    if (entries === undefined || entries.some(({ isAfterGap }) => isAfterGap)) return undefined;
    const events = entries.flatMap(({ stored }) =>
      stored !== undefined && accept(stored) ? [stored] : [],
    );
    return events.length > limit
      ? { events: limit === 0 ? [] : events.slice(-limit), limited: true }
      : { events, limited: false };
  }

  /**
   * Takes the last events before a room's memory begins into it, once for all who ask: after a restart
   * everyone who was in step comes back, and reads the same. Undefined where there is nothing to gain.
   */
  recall(room: LiveRoom, after: number): Promise<void> | undefined {
    const { completeAfter } = room.recent;
    const known = this.#recalls.get(room);
    if (known !== undefined) return known.from === completeAfter ? known.done : undefined;
    if (after >= completeAfter) return undefined;
    // Without it the database is asked as before, which tells what is wrong.
    const done = this.#recall(room, completeAfter).catch(() => {
      this.#recalls.delete(room);
    });
    this.#recalls.set(room, { from: completeAfter, done });
    return done;
  }

  async #recall(room: LiveRoom, upTo: number): Promise<void> {
    const end = { streamPos: upTo, backfillPos: 0 };
    const records = await timelineBetween(
      this.#db,
      room.nid,
      startOfRoom,
      end,
      'backwards',
      maxEntries,
    );
    const oldest = records.at(-1)?.stream_pos ?? undefined;
    if (oldest === undefined) return;
    const changes = await stateChangesBetween(this.#db, room.nid, oldest - 1, upTo);
    // Where a room began, or came from another server, its whole state is one change.
    if (changes === undefined || changes.length > maxRecalledChanges) return;
    const changed = await this.#events.manyByNid(
      room.nid,
      changes.map(({ event_nid: nid }) => nid).filter((nid) => nid !== 0),
    );
    const gaps =
      room.missingPrevEvents.size === 0
        ? undefined
        : await newestGaps(this.#db, [room.nid], oldest - 1, upTo);
    // Who reads across an older gap reads across the newest.
    const gapAt = gaps?.get(room.nid)?.streamPos;
    const entries = new Map<number, { stored: StoredEvent | undefined; changes: StateChanges }>();
    const entryAt = (position: number) => {
      const known = entries.get(position);
      if (known !== undefined) return known;
      const entry = { stored: undefined, changes: new Map() as StateChanges };
      entries.set(position, entry);
      return entry;
    };
    for (const stored of this.#events.adopt(records)) {
      if (stored.backfillPos === 0) entryAt(stored.streamPos as number).stored = stored;
    }
    for (const { stream_pos: position, type, state_key: stateKey, event_nid: nid } of changes) {
      const stored = changed.get(nid);
      // What state resolution took away has no event to be told by.
      if (stored === undefined) return;
      entryAt(position).changes.set(stateKeyOf(type, stateKey), stateRefOf(stored));
    }
    const inOrder = [...entries].sort(([a], [b]) => a - b);
    const before = room.recent.bytes;
    room.recent.recall(
      upTo,
      oldest - 1,
      inOrder.map(([position, { stored, changes: made }]) => ({
        position,
        stored,
        isAfterGap: position === gapAt,
        changes: made,
      })),
    );
    this.#registry.recentAdded(room.recent.bytes - before);
  }

  /** The newest events with `after < place <= upTo`. */
  async newest(
    roomNid: number,
    after: TimelinePlace,
    upTo: TimelinePlace,
    limit: number,
    accept: Accept,
  ): Promise<Stretch> {
    const { events, more } = await this.page(roomNid, after, upTo, 'backwards', limit, accept);
    const stretch = { events: [...events].reverse(), limited: more };
    if (this.#registry.cached(roomNid)?.missingPrevEvents.size === 0) return stretch;
    const gaps = await newestGaps(this.#db, [roomNid], after.streamPos, upTo.streamPos);
    return sinceGap(stretch, gaps.get(roomNid));
  }

  /**
   * Up to `limit` events, in the direction read, and whether there are more in the bounds. `last` is
   * where reading stopped: a page that the filter empties still moves on.
   */
  async page(
    roomNid: number,
    after: TimelinePlace,
    upTo: TimelinePlace,
    direction: 'backwards' | 'forwards',
    limit: number,
    accept: Accept,
  ): Promise<{ events: StoredEvent[]; more: boolean; last: TimelinePlace | undefined }> {
    const events: StoredEvent[] = [];
    let [low, high] = [after, upTo];
    let last: TimelinePlace | undefined;
    for (let reads = 0; reads < maxReads; reads += 1) {
      const want = Math.min(maxRows, Math.max(limit - events.length, 10) + 1);
      const records = await timelineBetween(this.#db, roomNid, low, high, direction, want);
      for (const stored of this.#events.adopt(records)) {
        const accepted = accept(stored);
        if (accepted && events.length === limit) return { events, more: true, last };
        if (accepted) events.push(stored);
        last = { streamPos: stored.streamPos as number, backfillPos: stored.backfillPos };
      }
      if (records.length < want) return { events, more: false, last };
      if (last !== undefined && direction === 'backwards') {
        high = { streamPos: last.streamPos, backfillPos: last.backfillPos - 1 };
      } else if (last !== undefined) {
        low = last;
      }
    }
    return { events, more: true, last };
  }

  /** The newest events of many rooms at or below a position, with one query, past the cache. */
  async newestOfRooms(
    rooms: Iterable<Pick<ReadableRoom, 'nid' | 'missingPrevEvents'>>,
    upTo: number,
    limit: number,
    accept: Accept,
  ): Promise<Map<number, Stretch>> {
    const roomNids: number[] = [];
    const withGaps: number[] = [];
    for (const { nid, missingPrevEvents } of rooms) {
      roomNids.push(nid);
      if (missingPrevEvents.size > 0) withGaps.push(nid);
    }
    const records = await latestByRoom(this.#db, roomNids, upTo, limit + 1);
    const byRoom = new Map<number, StoredEvent[]>(roomNids.map((nid) => [nid, []]));
    for (const stored of this.#events.passing(records)) byRoom.get(stored.roomNid)?.push(stored);
    const gaps =
      withGaps.length === 0
        ? noGaps
        : await newestGaps(this.#db, withGaps, startOfRoom.streamPos, upTo);
    const stretches = new Map<number, Stretch>();
    for (const [roomNid, events] of byRoom) {
      const accepted = events.filter(accept);
      const complete = accepted.length === events.length || events.length <= limit;
      if (complete) {
        const limited = accepted.length > limit;
        const shown = limited ? accepted.slice(accepted.length - limit) : accepted;
        stretches.set(roomNid, sinceGap({ events: shown, limited }, gaps.get(roomNid)));
      } else {
        const end = { streamPos: upTo, backfillPos: 0 };
        stretches.set(roomNid, await this.newest(roomNid, startOfRoom, end, limit, accept));
      }
    }
    return stretches;
  }
}

/** A timeline is whole: where events before one are missing, it begins with that one. */
const sinceGap = (stretch: Stretch, gap: TimelinePlace | undefined): Stretch => {
  if (gap === undefined) return stretch;
  const { streamPos: at, backfillPos } = gap;
  const isSince = (stored: StoredEvent): boolean =>
    stored.streamPos !== undefined &&
    (stored.streamPos > at || (stored.streamPos === at && stored.backfillPos >= backfillPos));
  return { events: stretch.events.filter(isSince), limited: true };
};
