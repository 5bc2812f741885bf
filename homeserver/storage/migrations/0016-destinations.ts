/** Since when servers are away, and when device lists of theirs are tried again. */
import type { Knex } from 'knex';
import type { Migration } from '../migration.ts';

export const destinationsMigration: Migration = {
  name: '0016-destinations',
  async up(knex: Knex): Promise<void> {
    await knex.raw(`
      -- Rows of servers that never answered and that nothing waits for: anyone could make them.
      DELETE FROM destinations WHERE sent_pos IS NULL AND last_success_ms IS NULL;

      -- Null while it answers. Those that fail now count from now on, and are the only rows rewritten.
      ALTER TABLE destinations ADD COLUMN failing_since_ms bigint;
      UPDATE destinations SET failing_since_ms = (extract(epoch FROM now()) * 1000)::bigint
        WHERE failure_count > 0;

      -- Of stale lists. Adding columns with a default rewrites no row; the index holds stale ones only.
      ALTER TABLE remote_device_lists
        ADD COLUMN retry_at_ms bigint NOT NULL DEFAULT 0,
        ADD COLUMN failure_count integer NOT NULL DEFAULT 0;
      CREATE INDEX remote_device_lists_retry ON remote_device_lists (retry_at_ms) WHERE stale;
    `);
  },
};
