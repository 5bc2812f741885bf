/**
 * The newest rows of a stream, kept in memory by whom they concern (a room, a user) as they are
 * committed, so that a reader that keeps up needs no database. One bound holds for all keys
 * together: when it is reached the oldest rows go, and `completeAfter` rises past them.
 */

interface Entry<Row> {
  readonly position: number;
  readonly row: Row;
}

export class RecentRows<Key, Row> {
  readonly #maxRows: number;
  readonly #byKey = new Map<Key, Entry<Row>[]>();
  /** The keys of all entries, oldest first, from `#head` on. */
  #order: { readonly key: Key; readonly position: number }[] = [];
  #head = 0;
  #completeAfter: number;

  constructor(position: number, maxRows = 50_000) {
    this.#completeAfter = position;
    this.#maxRows = maxRows;
  }

  /** Rows are added in the order of their positions. */
  add(key: Key, position: number, row: Row): void {
    const entries = this.#byKey.get(key);
    if (entries === undefined) this.#byKey.set(key, [{ position, row }]);
    else entries.push({ position, row });
    this.#order.push({ key, position });
    if (this.#order.length - this.#head > this.#maxRows) this.#dropOldest();
  }

  /** Whether memory has everything after this position, of every key. */
  isCompleteAfter(position: number): boolean {
    return position >= this.#completeAfter;
  }

  /** Rows with `after < position <= upTo`, oldest first; undefined when memory does not reach back. */
  between(key: Key, after: number, upTo: number): Row[] | undefined {
    if (!this.isCompleteAfter(after)) return undefined;
    const entries = this.#byKey.get(key);
    if (entries === undefined) return [];
    let start = entries.length;
    while (start > 0 && (entries[start - 1] as Entry<Row>).position > after) start -= 1;
    const rows: Row[] = [];
    for (const { position, row } of entries.slice(start)) if (position <= upTo) rows.push(row);
    return rows;
  }

  /** Position of the key's newest row, or undefined when there is none in memory. */
  lastChange(key: Key): number | undefined {
    return this.#byKey.get(key)?.at(-1)?.position;
  }

  /**
   * The keys of rows after a position; undefined when memory does not reach back, or has more than
   * `maxRows` of such rows: then asking for each key is the better way.
   */
  keysAfter(after: number, maxRows: number): ReadonlySet<Key> | undefined {
    if (!this.isCompleteAfter(after)) return undefined;
    const keys = new Set<Key>();
    const end = this.#order.length;
    for (let index = end - 1; index >= this.#head; index -= 1) {
      const { key, position } = this.#order[index] as { key: Key; position: number };
      if (position <= after) break;
      if (end - index > maxRows) return undefined;
      keys.add(key);
    }
    return keys;
  }

  /** Nothing up to this position is known any more. */
  reset(position: number): void {
    this.#byKey.clear();
    this.#order = [];
    this.#head = 0;
    this.#completeAfter = position;
  }

  #dropOldest(): void {
    // A tenth at once, so that the cost of moving arrays is spread thin.
    for (let count = Math.ceil(this.#maxRows / 10); count > 0; count -= 1) {
      const { key } = this.#order[this.#head] as { key: Key };
      this.#head += 1;
      const entries = this.#byKey.get(key) as Entry<Row>[];
      this.#completeAfter = (entries.shift() as Entry<Row>).position;
      if (entries.length === 0) this.#byKey.delete(key);
    }
    if (this.#head > this.#maxRows) {
      this.#order = this.#order.slice(this.#head);
      this.#head = 0;
    }
  }
}
