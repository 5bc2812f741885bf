/**
 * Bounds how much work runs at a time, and lets those who wait take turns: whoever asks for much
 * delays others by one piece of work, not by all of theirs.
 */

export interface FairSlotsLimits {
  readonly maxRunning: number;
  /** More than this many waiting for one key, or for all keys together, are turned away. */
  readonly maxWaitingPerKey: number;
  readonly maxWaiting: number;
}

export class FairSlots {
  readonly #limits: FairSlotsLimits;
  /** Keys with someone waiting, the next to be served first; each goes to the end when served. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #waitingCount = 0;
  #running = 0;

  constructor(limits: FairSlotsLimits) {
    this.#limits = limits;
  }

  get waiting(): number {
    return this.#waitingCount;
  }

  /** Whether {@link run} would turn this key away. */
  isFull(key: string): boolean {
    const { maxRunning, maxWaiting, maxWaitingPerKey } = this.#limits;
    if (this.#running < maxRunning) return false;
    const inLine = this.#waiting.get(key)?.length ?? 0;
    return this.#waitingCount >= maxWaiting || inLine >= maxWaitingPerKey;
  }

  /** Runs `work` when its turn has come. Ask {@link isFull} first: here nobody is turned away. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#limits.maxRunning) this.#running++;
    else await this.#turn(key);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #turn(key: string): Promise<void> {
    this.#waitingCount++;
    return new Promise((resolve) => {
      const line = this.#waiting.get(key);
      if (line === undefined) this.#waiting.set(key, [resolve]);
      else line.push(resolve);
    });
  }

  /** Hands the slot on, so that nobody who comes between is before those who wait. */
  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running--;
      return;
    }
    const [key, line] = next;
    this.#waiting.delete(key);
    const start = line.shift() as () => void;
    if (line.length > 0) this.#waiting.set(key, line);
    this.#waitingCount--;
    start();
  }
}
