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
import { KeyedQueue } from '../keyed-queue.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Database } from '../storage/database.ts';
import type { AccountData } from '../streams/account-data.ts';
import type { Receipts } from '../streams/receipts.ts';
import type { PushEvaluator } from './push-evaluator.ts';
import type { PushRules } from './push-rules.ts';
import type { RoomCounter } from './room-counter.ts';
import { type Counters, RoomCounters } from './room-counters.ts';
import { countEvent, type Reader, type ScanTask, UnreadScan } from './unread-scan.ts';

export interface UnreadCountsDeps {
  readonly database: Database;
  readonly logger: Logger;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly receipts: Receipts;
  readonly accountData: AccountData;
  readonly pushRules: PushRules;
  readonly evaluator: PushEvaluator;
  readonly budget: MemoryBudget;
}

export class UnreadCounts {
  readonly #deps: UnreadCountsDeps;
  readonly #counters: RoomCounters;
  readonly #scan: UnreadScan;
  /** Work of each person that waits for the database: one at a time. */
  readonly #turns = new KeyedQueue<UserId>();
  #observe: (seconds: number) => void = () => undefined;

  constructor(deps: UnreadCountsDeps, options: { saveEveryMs?: number } = {}) {
    this.#deps = deps;
    this.#scan = new UnreadScan(deps);
    // Two generations share the budget.
    const maxBytes = deps.budget.bytesFor('counters') / 2;
    this.#counters = new RoomCounters({ ...deps, ...options, maxBytes });
    deps.budget.holds('counters', () => this.#counters.bytes);
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
    return this.#turns.run(userId, () => this.#catchUp(userId, rooms, upTo));
  }

  /** Reads what is stored of these rooms, so that they can be counted from memory. */
  prepare(userId: UserId, rooms: readonly UserRoom[], upTo: number): Promise<unknown> | undefined {
    const known = this.#counters.cached(userId);
    if (rooms.every(({ roomNid }) => known?.has(roomNid))) return undefined;
    return this.#turns.run(userId, () => this.#counters.load(userId, rooms, upTo));
  }

  /** Told how long each counting took for which memory did not suffice. */
  onCounted(observe: (seconds: number) => void): void {
    this.#observe = observe;
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
      const { events, evaluator } = this.#deps;
      const thread = countEvent(events, evaluator, { counter }, reader, context, stored);
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

  async #catchUp(userId: UserId, rooms: readonly UserRoom[], upTo: number): Promise<Counters> {
    const startedMs = performance.now();
    const { pushRules, accountData } = this.#deps;
    const counters = await this.#counters.load(userId, rooms, upTo);
    const reader: Reader = {
      userId,
      rules: await pushRules.of(userId),
      ignored: await accountData.ignoredUsers(userId),
    };
    try {
      await this.#heedAll(counters, userId, rooms, upTo);
      await this.#countAnew(counters, reader, rooms);
      const behind: ScanTask[] = [];
      for (const room of rooms) {
        const counter = counters.get(room.roomNid) as RoomCounter;
        if (counter.countedPos >= upTo) continue;
        this.#counters.changed(userId, room.roomNid);
        if (this.#scanMemory(counter, reader, room.roomNid, upTo)) continue;
        behind.push({ room, counter, after: counter.countedPos, upTo });
      }
      await this.#scan.count(reader, behind);
      for (const { counter } of behind) counter.countedPos = upTo;
    } catch (error) {
      // Half of a count is worth nothing; the log still has it all.
      this.#counters.forget(userId);
      throw error;
    }
    this.#observe((performance.now() - startedMs) / 1000);
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
  async #countAnew(counters: Counters, reader: Reader, rooms: readonly UserRoom[]): Promise<void> {
    const tasks: ScanTask[] = [];
    for (const room of rooms) {
      const counter = counters.get(room.roomNid) as RoomCounter;
      if (counter.stale.size === 0) continue;
      const only = new Map(counter.stale);
      tasks.push({
        room,
        counter,
        only,
        after: Math.min(...only.values()),
        upTo: counter.countedPos,
      });
    }
    if (tasks.length === 0) return;
    await this.#scan.count(reader, tasks);
    for (const { room, counter } of tasks) {
      counter.stale.clear();
      this.#counters.changed(reader.userId, room.roomNid);
    }
  }
}
