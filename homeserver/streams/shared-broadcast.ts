/**
 * What several processes tell one another: whoever has something to tell asks the leader, which gives
 * it a serial and tells it to all, itself first. It travels in the ordered stream of the log, so the
 * answer of the leader comes after it; a process that has missed part of the stream asks for what the
 * leader has kept of it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Broadcast, type Handler, Hearers, type Keeper, type Serials } from './broadcast.ts';
import { LogWriteFailed, LogWriteRefused } from './log-writer.ts';

/** As it travels to the leader. */
export type NewsText = readonly [kind: string, payload: unknown];

/** As the leader tells it. */
export interface ToldNews {
  readonly news: readonly [kind: string, payload: unknown, serial: number];
}

/** What the leader has kept, and the newest serial it has told. */
export interface KeptText {
  readonly serial: number;
  readonly kept: readonly (readonly [name: string, state: unknown])[];
}

export interface SharedBroadcastParts {
  /** Resolves after what the leader has told by then has been heard here. */
  readonly askLeader: (news: NewsText) => Promise<unknown>;
  /** Whether it failed without having been told: then it is tried again. */
  readonly isUnsent: (error: unknown) => boolean;
}

/** The leader's part. */
export interface Leading {
  readonly serials: Serials;
  /** Tells all others, in the order of the calls. */
  readonly publish: (told: ToldNews) => void;
}

const pauseMs = 25;
/** A leader that is lost is replaced sooner. */
const maxWaitMs = 8_000;

export class SharedBroadcast implements Broadcast {
  readonly #parts: SharedBroadcastParts;
  readonly #hearers = new Hearers();
  readonly #keepers = new Map<string, Keeper>();
  #leading: Leading | undefined;
  #serial = 0;

  constructor(parts: SharedBroadcastParts) {
    this.#parts = parts;
  }

  get serial(): number {
    return this.#serial;
  }

  tell(kind: string, payload: unknown): Promise<void> | undefined {
    if (this.#leading !== undefined) {
      this.relay([kind, payload]);
      return undefined;
    }
    return this.#ask([kind, payload]);
  }

  onTold(kind: string, handler: Handler): void {
    this.#hearers.set(kind, handler);
  }

  keep(name: string, keeper: Keeper): void {
    this.#keepers.set(name, keeper);
  }

  /** From now on this process leads: with serials that are higher than all before. */
  lead(leading: Leading): void {
    this.#leading = leading;
    this.#serial = leading.serials.last;
  }

  /** From now on another process leads, or none. */
  follow(): void {
    this.#leading = undefined;
  }

  /** In the leader: tells everyone what a member, or this process, has to tell. */
  relay([kind, payload]: NewsText): void {
    const { serials, publish } = this.#leading ?? notLeading();
    const serial = serials.next();
    this.#hear(kind, payload, serial);
    publish({ news: [kind, payload, serial] });
  }

  /** In the leader: for a process that has not heard everything. */
  kept(): KeptText {
    const keepers = [...this.#keepers];
    return { serial: this.#serial, kept: keepers.map(([name, keeper]) => [name, keeper.state()]) };
  }

  /** What the leader had kept, at this place of its stream. */
  restore({ serial, kept }: KeptText): void {
    this.#serial = Math.max(serial, this.#serial);
    for (const [name, state] of kept) {
      this.#keepers.get(name)?.restore(state as never, this.#serial);
    }
  }

  /** Takes what the leader tells, if it is news: of the log there is nothing with it then. */
  heard(told: readonly unknown[]): boolean {
    const [first] = told as readonly Partial<ToldNews>[];
    if (first?.news === undefined) return false;
    for (const { news } of told as readonly ToldNews[]) this.#hear(...news);
    return true;
  }

  #hear(kind: string, payload: unknown, serial: number): void {
    this.#serial = serial;
    this.#hearers.tell(kind, payload, serial);
  }

  async #ask(news: NewsText): Promise<void> {
    const endMs = performance.now() + maxWaitMs;
    for (;;) {
      if (this.#leading !== undefined) return this.relay(news);
      try {
        await this.#parts.askLeader(news);
        return;
      } catch (error) {
        const isUntold = error instanceof LogWriteRefused || this.#parts.isUnsent(error);
        if (!isUntold || performance.now() > endMs) {
          throw new LogWriteFailed('Nobody could be told', { cause: error });
        }
        await sleep(pauseMs);
      }
    }
  }
}

const notLeading = (): never => {
  throw new LogWriteRefused('This process does not lead');
};
