/** How local people were last seen, so that a restart is no news of everyone. */
import type { Migration } from '../migration.ts';

export const presenceMigration: Migration = {
  name: '0026-presence',
  up: async (knex) => {
    await knex.raw(`
      CREATE TABLE presence (
        user_id text PRIMARY KEY,
        presence text NOT NULL,
        status_msg text,
        last_active_ms bigint NOT NULL,
        -- Of the change that brought this; rises with time.
        serial bigint NOT NULL
      );
      CREATE INDEX presence_newest ON presence (serial);
    `);
  },
};
