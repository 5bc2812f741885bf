/**
 * Wakes those who wait for the log. A wake-up carries nothing: the woken read for themselves. Waiters
 * register before they read, so that nothing can fall between reading and waiting.
 */
import type { UserId } from '../../spec/identifiers.ts';

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
  async wait(timeoutMs: number, signals: readonly AbortSignal[]): Promise<void> {
    if (!this.#woken && !signals.some(({ aborted }) => aborted)) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          for (const signal of signals) signal.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        for (const signal of signals) signal.addEventListener('abort', done, { once: true });
        this.#resolve = done;
      });
    }
    this.#resolve = undefined;
    this.#woken = false;
  }
}

export class Notifier {
  readonly #waiters = new Map<UserId, Set<Waiter>>();
  readonly #marked = new Set<Waiter>();

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

  /** Called once the log has advanced past what the marks were for. */
  flush(): void {
    const marked = [...this.#marked];
    this.#marked.clear();
    for (const waiter of marked) waiter.wake();
  }

  /** For streams that do not go through the log. */
  wake(users: Iterable<UserId>): void {
    this.mark(users);
    this.flush();
  }

  /** Everyone reads again: a memory was dropped. */
  wakeAll(): void {
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.wake();
  }

  get waiting(): number {
    let count = 0;
    for (const waiters of this.#waiters.values()) count += waiters.size;
    return count;
  }
}
