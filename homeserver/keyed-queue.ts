/** Turns by key: one piece of work for a key at a time, in the order asked; others do not wait. */
export class KeyedQueue<Key> {
  readonly #last = new Map<Key, Promise<unknown>>();

  /** Runs `work` once everything asked for before has ended, well or badly. */
  run<T>(key: Key, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const ended: Promise<void> = turn.then(
      () => this.#forget(key, ended),
      () => this.#forget(key, ended),
    );
    this.#last.set(key, ended);
    return turn;
  }

  /** Whether anything is under way or waits. */
  has(key: Key): boolean {
    return this.#last.has(key);
  }

  #forget(key: Key, ended: Promise<unknown>): void {
    if (this.#last.get(key) === ended) this.#last.delete(key);
  }
}
