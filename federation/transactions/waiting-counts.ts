/** How many events wait, by room and by the server that sent them. */
import type { RoomId, ServerName } from '../../spec/identifiers.ts';

export class WaitingCounts {
  readonly #byRoom = new Map<RoomId, Map<ServerName, number>>();
  readonly #byOrigin = new Map<ServerName, number>();

  /** `by` is below zero for those that wait no more. */
  add(roomId: RoomId, origin: ServerName, by: number): void {
    const origins = this.#byRoom.get(roomId) ?? new Map<ServerName, number>();
    addTo(origins, origin, by);
    if (origins.size === 0) this.#byRoom.delete(roomId);
    else this.#byRoom.set(roomId, origins);
    addTo(this.#byOrigin, origin, by);
  }

  /** None of the room's events waits any more. */
  clearRoom(roomId: RoomId): void {
    for (const [origin, count] of this.#byRoom.get(roomId) ?? []) this.add(roomId, origin, -count);
  }

  clear(): void {
    this.#byRoom.clear();
    this.#byOrigin.clear();
  }

  has(roomId: RoomId, origin?: ServerName): boolean {
    const origins = this.#byRoom.get(roomId);
    return origin === undefined ? origins !== undefined : origins?.has(origin) === true;
  }

  ofOrigin(origin: ServerName): number {
    return this.#byOrigin.get(origin) ?? 0;
  }

  get events(): number {
    let events = 0;
    for (const count of this.#byOrigin.values()) events += count;
    return events;
  }

  get rooms(): number {
    return this.#byRoom.size;
  }
}

/** What counts nothing is not in the map. */
export const addTo = <K>(counts: Map<K, number>, key: K, by: number): void => {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
};
