/** What cleaning up needs to know. */
import type { Migration } from '../migration.ts';

export const growthMigration: Migration = {
  name: '0020-growth',
  up: async (knex) => {
    await knex.raw(`
      -- Where the log was, once a day: what is known only by its position is as old as this says.
      CREATE TABLE log_times (
        at_ms bigint PRIMARY KEY,
        stream_pos bigint NOT NULL
      );
    `);
  },
};
