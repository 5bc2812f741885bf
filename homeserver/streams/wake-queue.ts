/**
 * The order in which readers are woken. Every reader that wakes works at once, a part of a millisecond
 * each, so a crowd is woken in turns of the event loop, and whatever else waits goes between them:
 * first of all the answer of whoever caused it. Of two crowds the smaller does not wait for the larger.
 */
import type { Waiter } from './notifier.ts';

/** How long readers may hold the event loop before others get their turn. */
const TURN_MS = 6;
/** At most this many are planned for a turn, each as a step of its own. */
const READERS_PER_TURN = 64;
/**
 * The same where one turn of this length is likely to be enough for all. Between turns those who have
 * been answered ask again, which takes as long as the answers did: cut into short turns, the same
 * messages cost a fifth more processor time and reach the last of 200 readers twice as late.
 */
const ONLY_TURN_MS = 20;
/** More readers than this take more than one turn in any case. */
const READERS_IN_ONLY_TURN = 256;
/** So many woken together are a crowd. */
const CROWD = 32;

export class WakeQueue {
  readonly #near = new Lane();
  readonly #far = new Lane();
  /** Steps that are still to run in the next turn, or in the present one. */
  #planned = 0;
  #turnStartedMs = 0;
  #turnMs = ONLY_TURN_MS;
  #isNearNext = true;

  /** They are woken soon, in this order, each once however often it is added before. */
  add(waiters: readonly Waiter[]): void {
    const lane = waiters.length > CROWD ? this.#far : this.#near;
    for (const waiter of waiters) lane.add(waiter);
    // Until all of them have been woken.
    if (this.#near.size + this.#far.size > READERS_IN_ONLY_TURN) this.#turnMs = TURN_MS;
    if (this.#planned === 0) this.#plan();
  }

  delete(waiter: Waiter): void {
    this.#near.delete(waiter);
    this.#far.delete(waiter);
  }

  /** What a reader does when woken runs between two steps, so that each step knows what it took. */
  #plan(): void {
    const most = this.#turnMs === TURN_MS ? READERS_PER_TURN : READERS_IN_ONLY_TURN;
    this.#planned = Math.min(this.#near.size + this.#far.size, most);
    this.#turnStartedMs = 0;
    for (let step = 0; step < this.#planned; step += 1) setImmediate(this.#step);
  }

  readonly #step = (): void => {
    const nowMs = performance.now();
    if (this.#turnStartedMs === 0) this.#turnStartedMs = nowMs;
    if (nowMs - this.#turnStartedMs < this.#turnMs) this.#take()?.wake();
    this.#planned -= 1;
    if (this.#planned > 0) return;
    if (this.#near.size + this.#far.size > 0) this.#plan();
    else this.#turnMs = ONLY_TURN_MS;
  };

  #take(): Waiter | undefined {
    const [first, second] = this.#isNearNext ? [this.#near, this.#far] : [this.#far, this.#near];
    this.#isNearNext = !this.#isNearNext;
    const waiter = first.take() ?? second.take();
    // Woken from one lane it reads everything, and need not be woken from the other.
    if (waiter !== undefined) this.delete(waiter);
    return waiter;
  }
}

/** First come, first served. */
class Lane {
  readonly #waiting = new Set<Waiter>();
  /** Goes on where it was: a new one would walk over all that were deleted. */
  #iterator = this.#waiting.values();

  get size(): number {
    return this.#waiting.size;
  }

  add(waiter: Waiter): void {
    this.#waiting.add(waiter);
  }

  delete(waiter: Waiter): void {
    this.#waiting.delete(waiter);
  }

  take(): Waiter | undefined {
    if (this.#waiting.size === 0) return undefined;
    let next = this.#iterator.next();
    if (next.done === true) {
      this.#iterator = this.#waiting.values();
      next = this.#iterator.next();
    }
    this.#waiting.delete(next.value as Waiter);
    return next.value;
  }
}
