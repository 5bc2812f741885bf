/** How the processes of one server find the one that leads them. */
import type { Migration } from '../migration.ts';

export const clusterMigration: Migration = {
  name: '0025-cluster',
  up: async (knex) => {
    await knex.raw(`
      -- One row, written in the session that holds the log's lock, and by nobody else.
      CREATE TABLE cluster_leader (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        term bigint NOT NULL,
        member_id text NOT NULL,
        addresses json NOT NULL
      );
    `);
  },
};
