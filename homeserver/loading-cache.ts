/**
 * Values that are loaded when they are first asked for: once for all who ask meanwhile, and what was
 * being loaded when it was set, forgotten or cleared is not kept, because it may be older than that.
 */

/** Where values are kept, with its own bound: a `BoundedCache`, an `LRUCache`, a `Map`. */
export interface KeptValues<Key, Value> {
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): unknown;
  delete(key: Key): unknown;
  clear(): void;
}

export class LoadingCache<Key, Value> {
  readonly #kept: KeptValues<Key, Value>;
  readonly #load: (key: Key) => Promise<Value>;
  readonly #loading = new Map<Key, Promise<Value>>();

  constructor(kept: KeptValues<Key, NoInfer<Value>>, load: (key: Key) => Promise<Value>) {
    this.#kept = kept;
    this.#load = load;
  }

  /** What is in memory. */
  peek(key: Key): Value | undefined {
    return this.#kept.get(key);
  }

  /** At once where it is in memory. A failure is told to those who wait, and not kept. */
  get(key: Key): Value | Promise<Value> {
    return this.#kept.get(key) ?? this.#loading.get(key) ?? this.#start(key);
  }

  set(key: Key, value: Value): void {
    this.#loading.delete(key);
    this.#kept.set(key, value);
  }

  /** The next to ask has it loaded anew. */
  forget(key: Key): void {
    this.#loading.delete(key);
    this.#kept.delete(key);
  }

  clear(): void {
    this.#loading.clear();
    this.#kept.clear();
  }

  #start(key: Key): Promise<Value> {
    const loading = this.#load(key).then(
      (value) => {
        if (this.#ended(key, loading)) this.#kept.set(key, value);
        return value;
      },
      (error) => {
        this.#ended(key, loading);
        throw error;
      },
    );
    this.#loading.set(key, loading);
    return loading;
  }

  /** Whether nothing has come in between. */
  #ended(key: Key, loading: Promise<Value>): boolean {
    return this.#loading.get(key) === loading && this.#loading.delete(key);
  }
}
