/** The EDUs waiting for one destination that are worth something only now: few, and the newest. */
import type { EphemeralEdu } from './outbound-source.ts';
import { MAX_EDUS } from './transaction.ts';

const MAX_WAITING = 5 * MAX_EDUS;
const MAX_WAITING_WHEN_DOWN = MAX_EDUS;

export class EphemeralEdus {
  #waiting = new Map<string, EphemeralEdu>();

  get size(): number {
    return this.#waiting.size;
  }

  add(edu: EphemeralEdu, isDown: boolean): void {
    if (isDown && !edu.keepWhenDown) return;
    // Deleted first, so that it moves to the end: what changes most recently is newest.
    this.#waiting.delete(edu.key);
    this.#waiting.set(edu.key, edu);
    this.#trim(isDown ? MAX_WAITING_WHEN_DOWN : MAX_WAITING);
  }

  /** Takes the oldest. */
  take(count: number): EphemeralEdu[] {
    const taken: EphemeralEdu[] = [];
    for (const [key, edu] of this.#waiting) {
      if (taken.length >= count) break;
      taken.push(edu);
      this.#waiting.delete(key);
    }
    return taken;
  }

  /** The destination is down: what was sent in vain waits again, unless it has been overtaken. */
  putBack(unsent: readonly EphemeralEdu[]): void {
    const newer = this.#waiting;
    this.#waiting = new Map();
    for (const edu of [...unsent, ...newer.values()]) {
      if (!edu.keepWhenDown) continue;
      this.#waiting.delete(edu.key);
      this.#waiting.set(edu.key, edu);
    }
    this.#trim(MAX_WAITING_WHEN_DOWN);
  }

  #trim(most: number): void {
    for (const key of this.#waiting.keys()) {
      if (this.#waiting.size <= most) return;
      this.#waiting.delete(key);
    }
  }
}
