/** One step of the schema. Numbered, applied once in order, and never edited after a release. */
import type { Knex } from 'knex';

export interface Migration {
  /** `NNNN-what-it-adds`, as its file is called; what the database remembers it by. */
  readonly name: string;
  /** Runs in a transaction of its own. */
  up(knex: Knex): Promise<void>;
}
