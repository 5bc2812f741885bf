/**
 * Bounds how many requests run at a time: in all, to each server and for each requester. The others
 * wait in line, requesters taking turns, so that a busy one keeps nobody else waiting.
 */

export interface SlotLimits {
  readonly maxRunning: number;
  readonly maxRunningPerDestination: number;
  readonly maxRunningPerRequester: number;
  /** More than this many waiting for one requester, or in all, are turned away. */
  readonly maxWaitingPerRequester: number;
  readonly maxWaiting: number;
}

export interface SlotWish {
  readonly destination: string;
  /** Whose turn it is: a person, a server. Its destination's where nobody else is to blame. */
  readonly requester?: string;
  /** In line; without end by default. */
  readonly maxWaitMs?: number;
}

interface Waiting {
  readonly destination: string;
  readonly start: () => void;
}

/** Too many are waiting already, or it took too long. */
export class NoSlot extends Error {
  override readonly name = 'NoSlot';
}

export class RequestSlots {
  readonly #limits: SlotLimits;
  #running = 0;
  #waiting = 0;
  readonly #byDestination = new Map<string, number>();
  readonly #byRequester = new Map<string, number>();
  /** Lines by requester, the one whose turn it is first. None is empty. */
  readonly #lines = new Map<string, Waiting[]>();

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Runs `work` when its turn has come. @throws NoSlot */
  async run<T>(wish: SlotWish, work: () => Promise<T>): Promise<T> {
    const { destination, requester = destination } = wish;
    if (this.#mayRun(destination, requester)) this.#began(destination, requester);
    else await this.#wait(wish, requester);
    try {
      return await work();
    } finally {
      this.#running--;
      less(this.#byDestination, destination);
      less(this.#byRequester, requester);
      this.#next();
    }
  }

  #mayRun(destination: string, requester: string): boolean {
    const { maxRunning, maxRunningPerDestination, maxRunningPerRequester } = this.#limits;
    return (
      this.#running < maxRunning &&
      (this.#byDestination.get(destination) ?? 0) < maxRunningPerDestination &&
      (this.#byRequester.get(requester) ?? 0) < maxRunningPerRequester
    );
  }

  #began(destination: string, requester: string): void {
    this.#running++;
    this.#byDestination.set(destination, (this.#byDestination.get(destination) ?? 0) + 1);
    this.#byRequester.set(requester, (this.#byRequester.get(requester) ?? 0) + 1);
  }

  #wait({ destination, maxWaitMs }: SlotWish, requester: string): Promise<void> {
    const line = this.#lines.get(requester) ?? [];
    const { maxWaiting, maxWaitingPerRequester } = this.#limits;
    if (this.#waiting >= maxWaiting || line.length >= maxWaitingPerRequester) {
      throw new NoSlot('too many requests are waiting');
    }
    return new Promise((resolve, reject) => {
      const entry = {
        destination,
        start: () => {
          clearTimeout(timer);
          this.#began(destination, requester);
          resolve();
        },
      };
      const timer =
        maxWaitMs === undefined
          ? undefined
          : setTimeout(() => {
              this.#leaveLine(requester, line, line.indexOf(entry));
              reject(new NoSlot(`its turn did not come in ${Math.round(maxWaitMs)} ms`));
            }, maxWaitMs);
      if (line.push(entry) === 1) this.#lines.set(requester, line);
      this.#waiting++;
    });
  }

  #leaveLine(requester: string, line: Waiting[], index: number): void {
    line.splice(index, 1);
    this.#waiting--;
    if (line.length === 0) this.#lines.delete(requester);
  }

  /** Starts whatever may run now, one of each requester before a second of any. */
  #next(): void {
    let hasStarted = true;
    while (hasStarted && this.#running < this.#limits.maxRunning) {
      hasStarted = false;
      for (const [requester, line] of this.#lines) {
        const index = line.findIndex(({ destination }) => this.#mayRun(destination, requester));
        const entry = line[index];
        if (entry === undefined) continue;
        this.#leaveLine(requester, line, index);
        if (line.length > 0) {
          // To the end of the turns.
          this.#lines.delete(requester);
          this.#lines.set(requester, line);
        }
        entry.start();
        hasStarted = true;
        break;
      }
    }
  }
}

const less = (counts: Map<string, number>, key: string): void => {
  const count = counts.get(key) as number;
  if (count === 1) counts.delete(key);
  else counts.set(key, count - 1);
};
