/** Reports that an operator is done with. */
import type { Migration } from '../migration.ts';

export const closedReportsMigration: Migration = {
  name: '0019-closed-reports',
  up: async (knex) => {
    await knex.raw('ALTER TABLE reports ADD COLUMN closed_at_ms bigint');
  },
};
