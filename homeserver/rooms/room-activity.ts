/** When each room last had something new, for rooms that changed not too long ago. */
import type { MemoryBudget } from '../memory-budget.ts';
import type { Db } from '../storage/database.ts';
import { newestChangedRooms } from '../storage/newest-rows.ts';
import { LogTail } from '../streams/log-tail.ts';

export class RoomActivity {
  readonly #changes: LogTail<number, undefined>;

  constructor(position: number, budget: MemoryBudget) {
    const maxBytes = budget.bytesFor('marks') / 2;
    this.#changes = new LogTail(position, { maxBytes, onlyNewest: true });
    budget.holds('marks', () => this.#changes.bytes);
  }

  record(roomNid: number, position: number): void {
    this.#changes.add(roomNid, position, undefined);
  }

  /** Whether `changedSince` can answer for this position; if not, the database must. */
  knows(since: number): boolean {
    return this.#changes.isCompleteAfter(since);
  }

  changedSince(roomNid: number, since: number): boolean {
    return (this.#changes.lastChange(roomNid) ?? 0) > since;
  }

  /**
   * The rooms that have changed after a position; undefined when that is long ago, or they are more
   * than `maxRooms`: asking for each room is the better way then.
   */
  roomsChangedAfter(after: number, maxRooms: number): ReadonlySet<number> | undefined {
    return this.#changes.keysAfter(after, maxRooms);
  }

  /** Takes the newest changes after a position into memory. */
  async fill(db: Db, after: number): Promise<void> {
    const upTo = this.#changes.completeAfter;
    const { completeAfter, rows } = await newestChangedRooms(db, after);
    this.#changes.fill(upTo, completeAfter, rows);
  }

  /** Nothing before this position is known any more. */
  reset(position: number): void {
    this.#changes.reset(position);
  }
}
