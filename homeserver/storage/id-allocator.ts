/**
 * Internal ids, handed out from memory in blocks reserved from a database sequence, so that a row's
 * id is known before it is written. Ids are unique for ever, rise within one process, and may have
 * gaps; nothing may read an order of commits from them (that is what stream positions are for).
 */
import type { Db } from './database.ts';

const blockSize = 1000;
const lowWater = 4000;

export class IdAllocator {
  readonly #db: Db;
  readonly #blocks: { next: number; end: number }[] = [];
  #available = 0;
  #refill: Promise<void> | undefined;

  private constructor(db: Db) {
    this.#db = db;
  }

  static async open(db: Db): Promise<IdAllocator> {
    const ids = new IdAllocator(db);
    await ids.reserve(lowWater);
    return ids;
  }

  /** The next id. Throws when none is in reserve: callers of bulk work await `reserve` first. */
  next(): number {
    const block = this.#blocks[0];
    if (block === undefined) throw new Error('No internal ids in reserve');
    const id = block.next++;
    if (block.next === block.end) this.#blocks.shift();
    if (--this.#available < lowWater && this.#refill === undefined) {
      // A failure here is met again, and reported, by whoever next awaits `reserve`.
      this.reserve(lowWater).catch(() => undefined);
    }
    return id;
  }

  /** Whether so many are in memory already: `reserve` has nothing to do. */
  has(count: number): boolean {
    return this.#available >= count;
  }

  /** Resolves once at least `count` ids are in memory. */
  async reserve(count: number): Promise<void> {
    while (this.#available < count) {
      this.#refill ??= this.#fetch(Math.max(count, 2 * lowWater) - this.#available).finally(() => {
        this.#refill = undefined;
      });
      await this.#refill;
    }
  }

  async #fetch(count: number): Promise<void> {
    const { rows } = await this.#db.query<{ id: number }>({
      text: `SELECT nextval('internal_ids') AS id FROM generate_series(1, $1::int)`,
      values: [Math.ceil(count / blockSize)],
    });
    for (const { id } of rows) {
      this.#blocks.push({ next: id, end: id + blockSize });
      this.#available += blockSize;
    }
  }
}
