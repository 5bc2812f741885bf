/**
 * What a start reads into memory, the newest rows of whole tables, is found by their positions. Each
 * index is built from one reading of its table: some seconds for a million receipts.
 */
import type { Knex } from 'knex';
import type { Migration } from '../migration.ts';

export const newestRowsMigration: Migration = {
  name: '0012-newest-rows',
  async up(knex: Knex): Promise<void> {
    await knex.raw(`
      CREATE INDEX receipts_positions ON receipts (stream_pos);
      CREATE INDEX account_data_positions ON account_data (stream_pos);
    `);
  },
};
