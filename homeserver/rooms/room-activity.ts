/** When each room last had something new, for rooms that changed since this process started. */
export class RoomActivity {
  readonly #lastPosition = new Map<number, number>();
  readonly #maxRooms: number;
  #knownSince: number;

  constructor(position: number, maxRooms = 200_000) {
    this.#knownSince = position;
    this.#maxRooms = maxRooms;
  }

  record(roomNid: number, position: number): void {
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

  /** Nothing before this position is known any more. */
  reset(position: number): void {
    this.#lastPosition.clear();
    this.#knownSince = position;
  }
}
