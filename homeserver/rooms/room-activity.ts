/** When each room last had something new, for rooms that changed since this process started. */
export class RoomActivity {
  readonly #lastPosition = new Map<number, number>();
  readonly #maxRooms: number;
  readonly #newest: NewestChanges;
  #knownSince: number;

  constructor(position: number, { maxRooms = 200_000, maxNewest = 4_096 } = {}) {
    this.#knownSince = position;
    this.#maxRooms = maxRooms;
    this.#newest = new NewestChanges(position, maxNewest);
  }

  record(roomNid: number, position: number): void {
    this.#newest.add(roomNid, position);
    this.#lastPosition.delete(roomNid);
    this.#lastPosition.set(roomNid, position);
    if (this.#lastPosition.size <= this.#maxRooms) return;
    const [oldest, oldestPosition] = this.#lastPosition.entries().next().value as [number, number];
    this.#lastPosition.delete(oldest);
    this.#knownSince = Math.max(this.#knownSince, oldestPosition);
  }

  /** Whether `changedSince` can answer for this position; if not, the database must. */
  knows(since: number): boolean {
    return since >= this.#knownSince;
  }

  changedSince(roomNid: number, since: number): boolean {
    return (this.#lastPosition.get(roomNid) ?? 0) > since;
  }

  /**
   * The rooms that have changed after a position; undefined when that is long ago, or there were more
   * than `maxChanges`: asking for each room is the better way then.
   */
  roomsChangedAfter(after: number, maxChanges: number): ReadonlySet<number> | undefined {
    return this.#newest.roomsAfter(after, maxChanges);
  }

  /** Nothing before this position is known any more. */
  reset(position: number): void {
    this.#lastPosition.clear();
    this.#knownSince = position;
    this.#newest.reset(position);
  }
}

/**
 * The newest changes in the order of their positions. Every commit of every room writes here, so it is
 * a plain ring of numbers: `RecentRows` took some hundredths of all sends.
 */
class NewestChanges {
  readonly #roomNids: Float64Array;
  readonly #positions: Float64Array;
  #next = 0;
  #size = 0;
  /** Every change after this position is here. */
  #completeAfter: number;

  constructor(position: number, max: number) {
    this.#roomNids = new Float64Array(max);
    this.#positions = new Float64Array(max);
    this.#completeAfter = position;
  }

  add(roomNid: number, position: number): void {
    if (this.#size === this.#positions.length) {
      this.#completeAfter = this.#positions[this.#next] as number;
    } else {
      this.#size += 1;
    }
    this.#roomNids[this.#next] = roomNid;
    this.#positions[this.#next] = position;
    this.#next = (this.#next + 1) % this.#positions.length;
  }

  roomsAfter(after: number, maxChanges: number): ReadonlySet<number> | undefined {
    if (after < this.#completeAfter) return undefined;
    const rooms = new Set<number>();
    const { length } = this.#positions;
    for (let back = 1; back <= this.#size; back += 1) {
      const index = (this.#next - back + length) % length;
      if ((this.#positions[index] as number) <= after) break;
      if (back > maxChanges) return undefined;
      rooms.add(this.#roomNids[index] as number);
    }
    return rooms;
  }

  reset(position: number): void {
    this.#next = 0;
    this.#size = 0;
    this.#completeAfter = position;
  }
}
