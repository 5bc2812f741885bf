/**
 * Wakes those who wait for the log. A wake-up carries nothing: the woken read for themselves. Waiters
 * register before they read, so that nothing can fall between reading and waiting. They are woken in
 * turns of the event loop, after those whose writes were committed have been answered.
 */
import type { UserId } from '../../spec/identifiers.ts';
import { WakeQueue } from './wake-queue.ts';

/** A registration: lives from before the first read until the answer is given. */
export class Waiter {
  readonly userId: UserId;
  #woken = false;
  #resolve: (() => void) | undefined;

  constructor(userId: UserId) {
    this.userId = userId;
  }

  wake(): void {
    this.#woken = true;
    this.#resolve?.();
  }

  /** Resolves on the next wake-up (at once if one came since the last wait), time-out or abort. */
  async wait(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (!this.#woken && signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        signal?.addEventListener('abort', done, { once: true });
        this.#resolve = done;
      });
    }
    this.#resolve = undefined;
    this.#woken = false;
  }
}

/** So many are told at once of what is ephemeral. */
const maxToldAtOnce = 20;
/** More are told after a while, the longer the more they are. */
const minHoldMs = 50;
const maxHoldMs = 500;

/** How long ephemeral news waits for more to go with it, before it is told to so many. */
export const holdMsFor = (readers: number): number =>
  Math.min(maxHoldMs, Math.max(minHoldMs, readers / 2));

export class Notifier {
  readonly #waiters = new Map<UserId, Set<Waiter>>();
  readonly #marked = new Set<Waiter>();
  readonly #queue = new WakeQueue();
  /** Rooms whose ephemeral news is held back, until their timers have run out. */
  readonly #held = new Map<number, NodeJS.Timeout>();
  #isDraining = false;

  register(userId: UserId): Waiter {
    const waiter = new Waiter(userId);
    const waiters = this.#waiters.get(userId);
    if (waiters === undefined) this.#waiters.set(userId, new Set([waiter]));
    else waiters.add(waiter);
    return waiter;
  }

  release(waiter: Waiter): void {
    const waiters = this.#waiters.get(waiter.userId);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(waiter.userId);
    this.#marked.delete(waiter);
    this.#queue.delete(waiter);
  }

  /** Users with something new, to be woken at the next `flush`. */
  mark(users: Iterable<UserId>): void {
    for (const user of users) {
      for (const waiter of this.#waiters.get(user) ?? []) this.#marked.add(waiter);
    }
  }

  /** Like `mark`; looks through whichever is smaller, the members or those who wait. */
  markMembers(members: ReadonlySet<UserId>): void {
    if (members.size <= this.#waiters.size) {
      this.mark(members);
      return;
    }
    for (const [user, waiters] of this.#waiters) {
      if (members.has(user)) for (const waiter of waiters) this.#marked.add(waiter);
    }
  }

  /** Like `mark`, of those who wait. */
  markWhere(isConcerned: (userId: UserId) => boolean): void {
    for (const [user, waiters] of this.#waiters) {
      if (isConcerned(user)) for (const waiter of waiters) this.#marked.add(waiter);
    }
  }

  /** Members of a room that has new events: they hear of what was held back with these. */
  markRoom(roomNid: number, members: ReadonlySet<UserId>): void {
    const timer = this.#held.get(roomNid);
    if (timer !== undefined) {
      clearTimeout(timer);
      this.#held.delete(roomNid);
    }
    this.markMembers(members);
  }

  /**
   * Members of a room in which something ephemeral is new: who reads or types. Each of a thousand
   * readers answered once for each of a thousand receipts would be a million answers, so a crowd is
   * woken after a while, for everything that has come by then; `holds` until that. A few are marked
   * at once.
   */
  markEphemeral(roomNid: number, members: ReadonlySet<UserId>): void {
    if (this.#held.has(roomNid)) return;
    const readers = this.#countWaiting(members);
    if (readers <= maxToldAtOnce) {
      this.markMembers(members);
      return;
    }
    const release = (): void => {
      this.#held.delete(roomNid);
      this.markMembers(members);
      this.flush();
    };
    // Nobody's typing is a reason to keep the process.
    this.#held.set(roomNid, setTimeout(release, holdMsFor(readers)).unref());
  }

  /** Whether ephemeral news of the room waits for more: no reason to answer a reader. */
  holds(roomNid: number): boolean {
    return this.#held.has(roomNid);
  }

  /** Called once the log has advanced past what the marks were for: their turns come after this one. */
  flush(): void {
    if (this.#marked.size === 0) return;
    this.#queue.add([...this.#marked]);
    this.#marked.clear();
  }

  /** For streams that do not go through the log. */
  wake(users: Iterable<UserId>): void {
    this.mark(users);
    this.flush();
  }

  /** Everyone reads again: a memory was dropped. */
  wakeAll(): void {
    this.#queue.add([...this.#waiters.values()].flatMap((waiters) => [...waiters]));
  }

  /** The server stops: everyone who waits, or is about to, gives what answer there is. */
  drain(): void {
    this.#isDraining = true;
    this.wakeAll();
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  get waiting(): number {
    let count = 0;
    for (const waiters of this.#waiters.values()) count += waiters.size;
    return count;
  }

  /** How many users have someone waiting. */
  get waitingUsers(): number {
    return this.#waiters.size;
  }

  #countWaiting(members: ReadonlySet<UserId>): number {
    let count = 0;
    if (members.size <= this.#waiters.size) {
      for (const user of members) if (this.#waiters.has(user)) count += 1;
    } else {
      for (const user of this.#waiters.keys()) if (members.has(user)) count += 1;
    }
    return count;
  }
}
