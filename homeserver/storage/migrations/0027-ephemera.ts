/** Serials of what is told and not kept, in blocks: no two leaders of the server give the same. */
import type { Migration } from '../migration.ts';

export const ephemeraMigration: Migration = {
  name: '0027-ephemera',
  up: async (knex) => {
    // Begins above every serial that was a time in milliseconds, as they were before.
    await knex.raw(`
      CREATE SEQUENCE ephemeral_serials AS bigint
        MINVALUE 2199023255552 INCREMENT BY 16777216;
    `);
  },
};
