/**
 * The newest rows of a stream, kept in memory in the order of their positions and by whom they concern
 * (a room, a user), so that a reader that keeps up needs no database. Bounded by what the rows weigh,
 * all keys together: the oldest go first, and the position from which memory is complete rises past
 * them. It holds what is committed, and a process that starts fills it from the database or begins at
 * the present: losing it costs reading, nothing else.
 */

export interface LogTailOptions<Row> {
  readonly maxBytes: number;
  /** Bytes of a row beyond what any entry takes; none unless told. */
  readonly weigh?: (row: Row) => number;
  /** Only each key's newest row is kept: for knowing that something has changed, and not what. */
  readonly onlyNewest?: boolean;
}

export interface TailRow<Key, Row> {
  readonly key: Key;
  readonly position: number;
  readonly row: Row;
}

interface Entry<Key, Row> {
  readonly key: Key;
  position: number;
  row: Row;
  bytes: number;
  /** Neighbours among all rows. */
  older: Entry<Key, Row> | undefined;
  newer: Entry<Key, Row> | undefined;
  /** Neighbours among the rows of the key. */
  previous: Entry<Key, Row> | undefined;
  next: Entry<Key, Row> | undefined;
}

/** An entry with its place in the map of keys. */
const ENTRY_BYTES = 160;

export class LogTail<Key, Row> {
  readonly #maxBytes: number;
  readonly #weigh: ((row: Row) => number) | undefined;
  readonly #onlyNewest: boolean;
  readonly #newestByKey = new Map<Key, Entry<Key, Row>>();
  #oldest: Entry<Key, Row> | undefined;
  #newest: Entry<Key, Row> | undefined;
  #bytes = 0;
  #completeAfter: number;

  constructor(position: number, { maxBytes, weigh, onlyNewest = false }: LogTailOptions<Row>) {
    this.#completeAfter = position;
    this.#maxBytes = maxBytes;
    this.#weigh = weigh;
    this.#onlyNewest = onlyNewest;
  }

  /** What is held, as `weigh` reckons. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Rows are added in the order of their positions. */
  add(key: Key, position: number, row: Row): void {
    const bytes = ENTRY_BYTES + (this.#weigh?.(row) ?? 0);
    this.#bytes += bytes;
    const before = this.#newestByKey.get(key);
    if (before !== undefined && this.#onlyNewest) {
      this.#bytes -= before.bytes;
      this.#unlink(before);
      before.position = position;
      before.row = row;
      before.bytes = bytes;
      this.#append(before);
    } else {
      const entry: Entry<Key, Row> = {
        key,
        position,
        row,
        bytes,
        older: undefined,
        newer: undefined,
        previous: before,
        next: undefined,
      };
      if (before !== undefined) before.next = entry;
      this.#newestByKey.set(key, entry);
      this.#append(entry);
    }
    while (this.#bytes > this.#maxBytes && this.#oldest !== undefined) this.#drop(this.#oldest);
  }

  /**
   * Takes up what the database had before memory began: all rows with `completeAfter < position <=
   * upTo`, newest first. As many as there is room for; none where memory does not begin at `upTo`.
   */
  fill(upTo: number, completeAfter: number, rows: Iterable<TailRow<Key, Row>>): void {
    if (this.#completeAfter !== upTo) return;
    const oldestByKey = new Map<Key, Entry<Key, Row>>();
    for (let entry = this.#newest; entry !== undefined; entry = entry.older) {
      oldestByKey.set(entry.key, entry);
    }
    for (const { key, position, row } of rows) {
      if (position > upTo) continue;
      const next = oldestByKey.get(key);
      if (next !== undefined && this.#onlyNewest) continue;
      const bytes = ENTRY_BYTES + (this.#weigh?.(row) ?? 0);
      if (this.#bytes + bytes > this.#maxBytes) {
        this.#completeAfter = position;
        return;
      }
      this.#bytes += bytes;
      const entry: Entry<Key, Row> = {
        key,
        position,
        row,
        bytes,
        older: undefined,
        newer: this.#oldest,
        previous: undefined,
        next,
      };
      if (next === undefined) this.#newestByKey.set(key, entry);
      else next.previous = entry;
      oldestByKey.set(key, entry);
      if (this.#oldest === undefined) this.#newest = entry;
      else this.#oldest.older = entry;
      this.#oldest = entry;
    }
    this.#completeAfter = completeAfter;
  }

  /** Everything after this position is here, of every key. */
  get completeAfter(): number {
    return this.#completeAfter;
  }

  /** Whether memory has everything after this position, of every key. */
  isCompleteAfter(position: number): boolean {
    return position >= this.#completeAfter;
  }

  /** Rows with `after < position <= upTo`, oldest first; undefined when memory does not reach back. */
  between(key: Key, after: number, upTo: number): Row[] | undefined {
    if (after < this.#completeAfter) return undefined;
    const rows: Row[] = [];
    let entry = this.#newestByKey.get(key);
    while (entry !== undefined && entry.position > after) {
      if (entry.position <= upTo) rows.push(entry.row);
      entry = entry.previous;
    }
    return rows.reverse();
  }

  /** The first `limit` rows of any key after a position, oldest first; undefined as in `between`. */
  rowsAfter(after: number, limit = Number.POSITIVE_INFINITY): TailRow<Key, Row>[] | undefined {
    if (after < this.#completeAfter) return undefined;
    let first: Entry<Key, Row> | undefined;
    for (let entry = this.#newest; entry !== undefined && entry.position > after; ) {
      first = entry;
      entry = entry.older;
    }
    const rows: TailRow<Key, Row>[] = [];
    for (let entry = first; entry !== undefined && rows.length < limit; entry = entry.newer) {
      rows.push(entry);
    }
    return rows;
  }

  /** Position of the key's newest row, or undefined when there is none in memory. */
  lastChange(key: Key): number | undefined {
    return this.#newestByKey.get(key)?.position;
  }

  /** Position of the newest row of all, or where memory begins. */
  get lastPosition(): number {
    return this.#newest?.position ?? this.#completeAfter;
  }

  /**
   * The keys of rows after a position; undefined when memory does not reach back, or has more than
   * `maxRows` of such rows: then asking for each key is the better way.
   */
  keysAfter(after: number, maxRows: number): ReadonlySet<Key> | undefined {
    if (after < this.#completeAfter) return undefined;
    const keys = new Set<Key>();
    let rows = 0;
    for (let entry = this.#newest; entry !== undefined && entry.position > after; ) {
      rows += 1;
      if (rows > maxRows) return undefined;
      keys.add(entry.key);
      entry = entry.older;
    }
    return keys;
  }

  /** Nothing up to this position is known any more. */
  reset(position: number): void {
    this.#newestByKey.clear();
    this.#oldest = undefined;
    this.#newest = undefined;
    this.#bytes = 0;
    this.#completeAfter = position;
  }

  #append(entry: Entry<Key, Row>): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: Entry<Key, Row>): void {
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
  }

  /** The oldest of all is the oldest of its key. */
  #drop(entry: Entry<Key, Row>): void {
    this.#unlink(entry);
    this.#bytes -= entry.bytes;
    // Rows of one batch may be a little out of order.
    this.#completeAfter = Math.max(this.#completeAfter, entry.position);
    if (entry.next === undefined) this.#newestByKey.delete(entry.key);
    else entry.next.previous = undefined;
  }
}
