/** Bounds how many requests run at a time, in all and to each server; the others wait in line. */

export interface SlotLimits {
  readonly maxRunning: number;
  readonly maxRunningPerKey: number;
  /** More than this many waiting for one key are turned away. */
  readonly maxWaitingPerKey: number;
}

interface Line {
  running: number;
  readonly waiting: (() => void)[];
}

/** Too many are waiting already. */
export class NoSlot extends Error {
  override readonly name = 'NoSlot';
}

export class RequestSlots {
  readonly #limits: SlotLimits;
  readonly #lines = new Map<string, Line>();
  /** Keys with someone waiting who may run as far as the key is concerned, each once, in turn. */
  readonly #ready = new Set<string>();
  #running = 0;

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Runs `work` when its turn has come. Keys take turns, so a busy one does not starve others. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    await this.#enter(key);
    try {
      return await work();
    } finally {
      this.#leave(key);
    }
  }

  #enter(key: string): Promise<void> | undefined {
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { running: 0, waiting: [] };
      this.#lines.set(key, line);
    }
    const { maxRunning, maxRunningPerKey, maxWaitingPerKey } = this.#limits;
    if (this.#running < maxRunning && line.running < maxRunningPerKey) {
      this.#running++;
      line.running++;
      return undefined;
    }
    if (line.waiting.length >= maxWaitingPerKey) throw new NoSlot('too many requests are waiting');
    const { waiting } = line;
    if (line.running < maxRunningPerKey) this.#ready.add(key);
    return new Promise((resolve) => waiting.push(resolve));
  }

  #leave(key: string): void {
    const line = this.#lines.get(key) as Line;
    this.#running--;
    line.running--;
    if (line.waiting.length > 0) this.#ready.add(key);
    else if (line.running === 0) this.#lines.delete(key);
    this.#next();
  }

  #next(): void {
    const [key] = this.#ready;
    if (key === undefined || this.#running >= this.#limits.maxRunning) return;
    const line = this.#lines.get(key) as Line;
    this.#ready.delete(key);
    this.#running++;
    line.running++;
    const start = line.waiting.shift() as () => void;
    // At the end of the line, if there is more of it.
    if (line.waiting.length > 0 && line.running < this.#limits.maxRunningPerKey) {
      this.#ready.add(key);
    }
    start();
  }
}
