/**
 * A cache for the busiest paths: in two generations. What is used moves into the young one; when that
 * is full it becomes the old one, and what was old and unused is gone. Keeps at least the newest `max`
 * and at most twice as much, in the order of use only roughly, for a fraction of what a list in exact
 * order costs.
 */
export class BoundedCache<Key, Value> {
  readonly #max: number;
  readonly #weigh: ((value: Value) => number) | undefined;
  #young = new Map<Key, Value>();
  #youngWeight = 0;
  #old = new Map<Key, Value>();
  #oldWeight = 0;

  /**
   * @param max entries, at least 1; or with `weigh` the sum of what it says, in bytes. What weighs more
   *   than that on its own is kept until the next one comes.
   */
  constructor(max: number, weigh?: (value: Value) => number) {
    this.#max = max;
    this.#weigh = weigh;
  }

  /** What is held, in the unit of `max`. */
  get weight(): number {
    return this.#youngWeight + this.#oldWeight;
  }

  get(key: Key): Value | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    const before = this.#young.get(key);
    if (before !== undefined) this.#youngWeight -= this.#weightOf(before);
    this.#young.set(key, value);
    this.#youngWeight += this.#weightOf(value);
    if (this.#youngWeight < this.#max) return;
    this.#old = this.#young;
    this.#oldWeight = this.#youngWeight;
    this.#young = new Map();
    this.#youngWeight = 0;
  }

  delete(key: Key): void {
    const young = this.#young.get(key);
    if (young !== undefined) {
      this.#young.delete(key);
      this.#youngWeight -= this.#weightOf(young);
    }
    const old = this.#old.get(key);
    if (old !== undefined) {
      this.#old.delete(key);
      this.#oldWeight -= this.#weightOf(old);
    }
  }

  /** Looks at everything that is held. */
  deleteWhere(isGone: (value: Value, key: Key) => boolean): void {
    for (const held of [this.#young, this.#old]) {
      for (const [key, value] of held) if (isGone(value, key)) this.delete(key);
    }
  }

  clear(): void {
    this.#young = new Map();
    this.#youngWeight = 0;
    this.#old = new Map();
    this.#oldWeight = 0;
  }

  #weightOf(value: Value): number {
    return this.#weigh === undefined ? 1 : this.#weigh(value);
  }
}
