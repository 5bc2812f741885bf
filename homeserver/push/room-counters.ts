/**
 * The counters of people, in memory while they are in use, and behind them a table that is written
 * in batches. Anything not written is counted again from the log.
 */
import type { Logger } from 'pino';
import type { UserId } from '../../spec/identifiers.ts';
import { BoundedCache } from '../bounded-cache.ts';
import { inBatches } from '../in-batches.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Database } from '../storage/database.ts';
import { type RoomsOfUser, wishBatches } from '../storage/rooms-of-user.ts';
import { putUnreadCounts, type UnreadCountRow, unreadCountsOf } from '../storage/unread-counts.ts';
import type { ReceiptRow, Receipts } from '../streams/receipts.ts';
import { RoomCounter } from './room-counter.ts';

/** By room nid. */
export type Counters = Map<number, RoomCounter>;

export interface RoomCountersOptions {
  readonly database: Database;
  readonly logger: Logger;
  readonly receipts: Receipts;
  /** What counters in memory may take. */
  readonly maxBytes: number;
  readonly saveEveryMs?: number | undefined;
}

const rowsSavedTogether = 500;

/** A person, and each of their rooms with a thread. */
const userBytes = 200;
const counterBytes = 260;

const bytesOf = (counters: Counters): number => userBytes + counters.size * counterBytes;

export class RoomCounters {
  readonly #options: RoomCountersOptions;
  readonly #users: BoundedCache<UserId, Counters>;
  readonly #unsaved = new Map<UserId, Set<number>>();
  readonly #rowsStored: (wish: RoomsOfUser) => Promise<UnreadCountRow[] | undefined>;
  #saveTimer: NodeJS.Timeout | undefined;
  #saving: Promise<void> | undefined;

  constructor(options: RoomCountersOptions) {
    this.#options = options;
    this.#rowsStored = inBatches(
      (wishes: readonly RoomsOfUser[]) => unreadCountsOf(options.database, wishes),
      wishBatches,
    );
    this.#users = new BoundedCache(options.maxBytes, bytesOf);
  }

  /** What is held, by the measure of `maxBytes`. */
  get bytes(): number {
    return this.#users.weight;
  }

  cached(userId: UserId): Counters | undefined {
    return this.#users.get(userId);
  }

  /** Those not in memory begin where they were left, or where the user last read. */
  async load(userId: UserId, rooms: readonly UserRoom[], upTo: number): Promise<Counters> {
    const known = this.#users.get(userId);
    const missing = rooms.filter(({ roomNid }) => known?.has(roomNid) !== true);
    if (known !== undefined && missing.length === 0) return known;
    const nids = missing.map(({ roomNid }) => roomNid);
    const [rows, receipts] = await Promise.all([
      this.#rowsStored({ userId, roomNids: nids }),
      this.#options.receipts.ofUser(userId, nids),
    ]);
    const stored = new Map((rows ?? []).map((row) => [row.roomNid, row]));
    // A new one, since what is in memory was weighed when it was put there.
    const counters: Counters = new Map(this.#users.get(userId));
    for (const { roomNid, membershipPos } of missing) {
      const own = receipts.get(roomNid) ?? [];
      const counter = counterFrom(stored.get(roomNid), own, membershipPos);
      counter.receiptsPos = Math.max(counter.receiptsPos, upTo);
      counters.set(roomNid, counter);
    }
    this.#users.set(userId, counters);
    return counters;
  }

  /** A counter has moved: it is written before long. */
  changed(userId: UserId, roomNid: number): void {
    const rooms = this.#unsaved.get(userId);
    if (rooms === undefined) this.#unsaved.set(userId, new Set([roomNid]));
    else rooms.add(roomNid);
    if (this.#saveTimer !== undefined) return;
    this.#saveTimer = setTimeout(() => {
      this.#saveTimer = undefined;
      void this.save();
    }, this.#options.saveEveryMs ?? 10_000);
    // Counts are no reason to keep the process.
    this.#saveTimer.unref();
  }

  forget(userId: UserId): void {
    this.#users.delete(userId);
  }

  clear(): void {
    this.#users.clear();
    this.#unsaved.clear();
  }

  /** Writes what has changed; what changes meanwhile waits for the next time. */
  save(): Promise<void> {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  async close(): Promise<void> {
    // Twice, for what changed while the first was under way.
    for (let round = 0; round < 2; round += 1) await this.save();
    clearTimeout(this.#saveTimer);
  }

  async #save(): Promise<void> {
    const rows = [...this.#unsaved].flatMap(([userId, roomNids]) =>
      this.#rowsOf(userId, [...roomNids]),
    );
    this.#unsaved.clear();
    const { database, logger } = this.#options;
    try {
      for (let start = 0; start < rows.length; start += rowsSavedTogether) {
        await putUnreadCounts(database, rows.slice(start, start + rowsSavedTogether));
      }
    } catch (error) {
      logger.warn({ err: error }, 'unread counts not saved: they are counted again');
    }
  }

  #rowsOf(userId: UserId, roomNids: readonly number[]): UnreadCountRow[] {
    const counters = this.#users.get(userId);
    return roomNids.flatMap((roomNid) => {
      const counter = counters?.get(roomNid);
      // Threads that wait to be counted anew have no count that could be stored.
      if (counter === undefined || counter.stale.size > 0) return [];
      const { countedPos, receiptsPos, readPos } = counter;
      const threads = counter.threadsJson();
      return [{ userId, roomNid, countedPos, receiptsPos, readPos, threads }];
    });
  }
}

const counterFrom = (
  row: UnreadCountRow | undefined,
  receipts: readonly ReceiptRow[],
  membershipPos: number,
): RoomCounter => {
  const unthreaded = receipts.filter(({ threadId }) => threadId === '');
  const readPos = Math.max(membershipPos, ...unthreaded.map(({ eventPos }) => eventPos ?? 0));
  const counter =
    row === undefined
      ? new RoomCounter({ countedPos: readPos, receiptsPos: 0, readPos })
      : RoomCounter.fromRow(row);
  for (const receipt of receipts) {
    if (receipt.streamPos > counter.receiptsPos) counter.heed(receipt);
  }
  return counter;
};
