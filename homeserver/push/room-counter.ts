/**
 * What one person has not read of one room, by thread: counts, and the positions between which they
 * were counted. Pure bookkeeping; the log is read by `unread-counts.ts`.
 */
import type { UnreadCountRow } from '../storage/unread-counts.ts';
import type { ReceiptRow } from '../streams/receipts.ts';

export interface ThreadCount {
  /** Everything of the thread up to here is read. */
  readPos: number;
  /** Of the first and the last notification counted; 0 while there is none. */
  firstPos: number;
  lastPos: number;
  notifications: number;
  highlights: number;
}

/** Threads kept for one room; of more, the one quiet for the longest time goes. */
const maxThreads = 1000;

export class RoomCounter {
  countedPos: number;
  receiptsPos: number;
  /** Everything up to here is read, in every thread. */
  readPos: number;
  /** Where the counts last changed. */
  changedPos: number;
  readonly threads: Map<string, ThreadCount>;
  /** Threads whose count is wrong since a receipt moved into the midst of it, and where from. */
  readonly stale = new Map<string, number>();

  constructor(start: {
    countedPos: number;
    receiptsPos: number;
    readPos: number;
    threads?: Map<string, ThreadCount>;
  }) {
    this.countedPos = start.countedPos;
    this.receiptsPos = start.receiptsPos;
    this.readPos = start.readPos;
    this.changedPos = start.countedPos;
    this.threads = start.threads ?? new Map();
  }

  static fromRow(row: UnreadCountRow): RoomCounter {
    return new RoomCounter({
      ...row,
      threads: new Map(JSON.parse(row.threads) as [string, ThreadCount][]),
    });
  }

  threadsJson(): string {
    return JSON.stringify([...this.threads]);
  }

  total(): { notifications: number; highlights: number } {
    const total = { notifications: 0, highlights: 0 };
    for (const { notifications, highlights } of this.threads.values()) {
      total.notifications += notifications;
      total.highlights += highlights;
    }
    return total;
  }

  isRead(thread: string, position: number): boolean {
    return position <= this.readPos || position <= (this.threads.get(thread)?.readPos ?? 0);
  }

  /** Counts a notification beyond what is read. */
  add(thread: string, position: number, highlight: boolean): void {
    const count = this.#count(thread);
    if (count.firstPos === 0) count.firstPos = position;
    count.lastPos = Math.max(count.lastPos, position);
    count.notifications += 1;
    if (highlight) count.highlights += 1;
    this.changedPos = Math.max(this.changedPos, position);
  }

  /** Counts many that highlight nothing, between two positions, all of them beyond what is read. */
  addMany(thread: string, notifications: number, firstPos: number, lastPos: number): void {
    const count = this.#count(thread);
    count.firstPos = count.firstPos === 0 ? firstPos : Math.min(count.firstPos, firstPos);
    count.lastPos = Math.max(count.lastPos, lastPos);
    count.notifications += notifications;
    this.changedPos = Math.max(this.changedPos, lastPos);
  }

  /** A receipt of this person. */
  heed({ threadId, eventPos, streamPos }: ReceiptRow): void {
    if (eventPos === null) return;
    if (threadId === '') this.readAll(eventPos, streamPos);
    else this.readThread(threadId, eventPos, streamPos);
  }

  /** The person has read a thread up to `position`, and has said so at `saidAt`. */
  readThread(thread: string, position: number, saidAt: number): void {
    if (this.isRead(thread, position)) return;
    const count = this.#count(thread);
    count.readPos = position;
    this.changedPos = Math.max(this.changedPos, saidAt);
    this.#forget(thread, count);
  }

  /** The same for the whole room. */
  readAll(position: number, saidAt: number): void {
    if (position <= this.readPos) return;
    this.readPos = position;
    this.changedPos = Math.max(this.changedPos, saidAt);
    for (const [thread, count] of this.threads) {
      if (count.readPos < position) {
        count.readPos = position;
        this.#forget(thread, count);
      }
      const says = count.notifications > 0 || count.readPos > position || this.stale.has(thread);
      if (!says) this.threads.delete(thread);
    }
  }

  #count(thread: string): ThreadCount {
    let count = this.threads.get(thread);
    if (count === undefined) {
      count = { readPos: this.readPos, firstPos: 0, lastPos: 0, notifications: 0, highlights: 0 };
      if (this.threads.size >= maxThreads) {
        this.threads.delete(this.threads.keys().next().value as string);
      }
      this.threads.set(thread, count);
    }
    return count;
  }

  /** Takes back what was counted up to the thread's `readPos`. */
  #forget(thread: string, count: ThreadCount): void {
    if (count.notifications === 0 || count.readPos < count.firstPos) return;
    if (count.readPos < count.lastPos) {
      this.stale.set(thread, Math.min(count.readPos, this.stale.get(thread) ?? count.readPos));
    }
    count.firstPos = 0;
    count.lastPos = 0;
    count.notifications = 0;
    count.highlights = 0;
  }
}
