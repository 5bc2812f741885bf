/**
 * How many notifications each person has not read, by room and thread.
 *
 * A reader of the log with a cursor for each person and room: it is moved when somebody asks, so
 * sending an event costs nothing here, and rooms of people who are away are counted when they come
 * back. What is counted is kept in a table, in batches and behind; what is lost of it is counted
 * again from the log and the receipts.
 * https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications
 */
import type { Logger } from 'pino';
import type { UserId } from '../../spec/identifiers.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { storedEventFrom } from '../rooms/event-store.ts';
import { threadOf } from '../rooms/relations.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Database } from '../storage/database.ts';
import { liveEventsAfter } from '../storage/events.ts';
import type { AccountData } from '../streams/account-data.ts';
import type { Receipts } from '../streams/receipts.ts';
import type { PushContext, PushEvaluator } from './push-evaluator.ts';
import type { PushRules } from './push-rules.ts';
import type { RoomCounter } from './room-counter.ts';
import { type Counters, RoomCounters } from './room-counters.ts';
import type { UserRules } from './user-rules.ts';

export interface UnreadCountsDeps {
  readonly database: Database;
  readonly logger: Logger;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly receipts: Receipts;
  readonly accountData: AccountData;
  readonly pushRules: PushRules;
  readonly evaluator: PushEvaluator;
}

/** Unread events of one room that are looked at: beyond, the oldest are not counted. */
const maxEventsCounted = 1000;
/** Read of every room at once; a room with more is then read alone. */
const eventsReadAtFirst = 50;
const roomsReadTogether = 40;

/** One person, and what their events are judged by. */
interface Reader {
  readonly userId: UserId;
  readonly rules: UserRules;
  readonly ignored: ReadonlySet<UserId>;
}

export class UnreadCounts {
  readonly #deps: UnreadCountsDeps;
  readonly #counters: RoomCounters;
  /** Work of each person that waits for the database: one at a time. */
  readonly #turns = new Map<UserId, Promise<unknown>>();

  constructor(deps: UnreadCountsDeps, options: { maxUsers?: number; saveEveryMs?: number } = {}) {
    this.#deps = deps;
    this.#counters = new RoomCounters({ ...deps, ...options });
  }

  /**
   * The counts of these rooms, all of which the user has joined, as of a position of the log or
   * later, by room nid. At once where memory suffices.
   */
  of(
    userId: UserId,
    rooms: readonly UserRoom[],
    upTo: number,
  ): ReadonlyMap<number, RoomCounter> | Promise<ReadonlyMap<number, RoomCounter>> {
    if (!this.#turns.has(userId)) {
      const counters = this.#fromMemory(userId, rooms, upTo);
      if (counters !== undefined) return counters;
    }
    return this.#inTurn(userId, () => this.#catchUp(userId, rooms, upTo));
  }

  /** Memory may be wrong: counting goes on from what is stored. */
  reset(): void {
    this.#counters.clear();
  }

  close(): Promise<void> {
    return this.#counters.close();
  }

  #fromMemory(userId: UserId, rooms: readonly UserRoom[], upTo: number): Counters | undefined {
    const counters = this.#counters.cached(userId);
    const rules = this.#deps.pushRules.of(userId);
    const ignored = this.#deps.accountData.ignoredUsers(userId);
    if (counters === undefined || rules instanceof Promise || ignored instanceof Promise) {
      return undefined;
    }
    const reader: Reader = { userId, rules, ignored };
    for (const room of rooms) {
      const counter = counters.get(room.roomNid);
      if (counter === undefined) return undefined;
      if (!this.#heed(counter, userId, room, upTo) || counter.stale.size > 0) return undefined;
      if (counter.countedPos >= upTo) continue;
      if (!this.#scanMemory(counter, reader, room.roomNid, upTo)) return undefined;
      this.#counters.changed(userId, room.roomNid);
    }
    return counters;
  }

  /** Heeds the receipts since the last time; false where they are not in memory. */
  #heed(counter: RoomCounter, userId: UserId, room: UserRoom, upTo: number): boolean {
    counter.readAll(room.membershipPos, room.membershipPos);
    if (counter.receiptsPos >= upTo) return true;
    const { receipts } = this.#deps;
    if (!receipts.knows(counter.receiptsPos)) return false;
    if ((receipts.lastChange(room.roomNid) ?? 0) > counter.receiptsPos) {
      const rows = receipts.changesSince(room.roomNid, counter.receiptsPos, upTo);
      if (!Array.isArray(rows)) return false;
      for (const row of rows) if (row.userId === userId) counter.heed(row);
    }
    counter.receiptsPos = upTo;
    return true;
  }

  #scanMemory(counter: RoomCounter, reader: Reader, roomNid: number, upTo: number): boolean {
    const room = this.#deps.registry.cached(roomNid);
    const entries = room?.recent.between(counter.countedPos, upTo);
    if (room === undefined || entries === undefined) return false;
    const context = this.#deps.evaluator.contextOf(room, reader.rules);
    if (context instanceof Promise) return false;
    for (const { stored, position } of entries) {
      if (stored === undefined) continue;
      const thread = this.#count(counter, reader, context, stored);
      if (thread instanceof Promise) {
        // Asked again, where a failure is heard of, when the counting goes on from what is stored.
        thread.catch(() => undefined);
        return false;
      }
      counter.countedPos = position;
    }
    counter.countedPos = upTo;
    return true;
  }

  /**
   * Counts one event, or with `only` counts it again for threads that are counted anew. A promise:
   * nothing has been done yet, because its thread is not known at once.
   */
  #count(
    counter: RoomCounter,
    reader: Reader,
    context: PushContext,
    stored: StoredEvent,
    only?: ReadonlyMap<string, number>,
    knownThread?: string,
  ): Promise<string> | undefined {
    const { sender } = stored.event;
    const position = stored.streamPos as number;
    if (sender === reader.userId) {
      const thread = knownThread ?? threadOf(this.#deps.events, stored);
      if (typeof thread !== 'string') return thread;
      if (only === undefined) counter.readThread(thread, position, position);
      return undefined;
    }
    if (position <= counter.readPos || reader.ignored.has(sender)) return undefined;
    const verdict = this.#deps.evaluator.verdict(context, stored);
    if (!verdict.notify) return undefined;
    const thread = knownThread ?? threadOf(this.#deps.events, stored);
    if (typeof thread !== 'string') return thread;
    if (only !== undefined && !only.has(thread)) return undefined;
    if (!counter.isRead(thread, position)) counter.add(thread, position, verdict.highlight);
    return undefined;
  }

  #inTurn<T>(userId: UserId, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(userId) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(userId, turn);
    const done = (): void => {
      if (this.#turns.get(userId) === turn) this.#turns.delete(userId);
    };
    turn.then(done, done);
    return turn;
  }

  async #catchUp(userId: UserId, rooms: readonly UserRoom[], upTo: number): Promise<Counters> {
    const { pushRules, accountData } = this.#deps;
    const counters = await this.#counters.load(userId, rooms, upTo);
    const reader: Reader = {
      userId,
      rules: await pushRules.of(userId),
      ignored: await accountData.ignoredUsers(userId),
    };
    try {
      await this.#heedAll(counters, userId, rooms, upTo);
      const behind: UserRoom[] = [];
      for (const room of rooms) {
        const counter = counters.get(room.roomNid) as RoomCounter;
        if (counter.stale.size > 0) await this.#countAnew(counter, reader, room.roomNid);
        if (counter.countedPos >= upTo) continue;
        this.#counters.changed(userId, room.roomNid);
        if (!this.#scanMemory(counter, reader, room.roomNid, upTo)) behind.push(room);
      }
      await this.#scanStored(counters, reader, behind, upTo);
    } catch (error) {
      // Half of a count is worth nothing; the log still has it all.
      this.#counters.forget(userId);
      throw error;
    }
    return counters;
  }

  async #heedAll(
    counters: Counters,
    userId: UserId,
    rooms: readonly UserRoom[],
    upTo: number,
  ): Promise<void> {
    const missed = rooms.filter(
      (room) => !this.#heed(counters.get(room.roomNid) as RoomCounter, userId, room, upTo),
    );
    if (missed.length === 0) return;
    const receipts = await this.#deps.receipts.ofUser(
      userId,
      missed.map(({ roomNid }) => roomNid),
    );
    for (const { roomNid } of missed) {
      const counter = counters.get(roomNid) as RoomCounter;
      for (const receipt of receipts.get(roomNid) ?? []) counter.heed(receipt);
      counter.receiptsPos = upTo;
    }
  }

  /** Counts threads again in which a receipt has moved into the midst of what was counted. */
  async #countAnew(counter: RoomCounter, reader: Reader, roomNid: number): Promise<void> {
    const stale = new Map(counter.stale);
    const from = Math.min(...stale.values());
    const events = await this.#read(
      [{ roomNid, after: from }],
      counter.countedPos,
      maxEventsCounted,
    );
    await this.#countEvents(counter, reader, roomNid, events, stale);
    counter.stale.clear();
    this.#counters.changed(reader.userId, roomNid);
  }

  async #scanStored(
    counters: Counters,
    reader: Reader,
    rooms: readonly UserRoom[],
    upTo: number,
  ): Promise<void> {
    for (let start = 0; start < rooms.length; start += roomsReadTogether) {
      const some = rooms.slice(start, start + roomsReadTogether);
      const ranges = some.map(({ roomNid }) => ({
        roomNid,
        after: (counters.get(roomNid) as RoomCounter).countedPos,
      }));
      const events = await this.#read(ranges, upTo, eventsReadAtFirst);
      const byRoom = grouped(events);
      for (const range of ranges) {
        const counter = counters.get(range.roomNid) as RoomCounter;
        let unread = byRoom.get(range.roomNid) ?? [];
        if (unread.length === eventsReadAtFirst) {
          unread = await this.#read([range], upTo, maxEventsCounted);
        }
        await this.#countEvents(counter, reader, range.roomNid, unread);
        counter.countedPos = upTo;
      }
    }
  }

  async #countEvents(
    counter: RoomCounter,
    reader: Reader,
    roomNid: number,
    events: readonly StoredEvent[],
    only?: ReadonlyMap<string, number>,
  ): Promise<void> {
    if (events.length === 0) return;
    const room = await this.#deps.registry.findByNid(roomNid);
    if (room === undefined) return;
    const context = await this.#deps.evaluator.contextOf(room, reader.rules);
    for (const stored of events) {
      const thread = this.#count(counter, reader, context, stored, only);
      if (thread !== undefined) {
        this.#count(counter, reader, context, stored, only, await thread);
      }
      if (only === undefined) counter.countedPos = stored.streamPos as number;
    }
  }

  /** Read past the cache of events, which a long absence would empty of everything else. */
  async #read(
    ranges: readonly { roomNid: number; after: number }[],
    upTo: number,
    limit: number,
  ): Promise<StoredEvent[]> {
    const records = await liveEventsAfter(this.#deps.database, ranges, upTo, limit);
    return records.map(
      (record) => this.#deps.events.cached(record.event_nid) ?? storedEventFrom(record),
    );
  }
}

const grouped = (events: readonly StoredEvent[]): Map<number, StoredEvent[]> => {
  const byRoom = new Map<number, StoredEvent[]>();
  for (const stored of events) {
    const others = byRoom.get(stored.roomNid);
    if (others === undefined) byRoom.set(stored.roomNid, [stored]);
    else others.push(stored);
  }
  return byRoom;
};
