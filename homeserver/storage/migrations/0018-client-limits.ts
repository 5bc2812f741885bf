/** Bounds on what clients try and keep. */
import type { Migration } from '../migration.ts';

export const clientLimitsMigration: Migration = {
  name: '0018-client-limits',
  up: async (knex) => {
    await knex.raw(`
      -- From where a person has lately proved their password: others cannot lock them out there.
      CREATE TABLE login_addresses (
        user_id text NOT NULL,
        -- An IPv4 address, or the first 64 bits of an IPv6 one.
        address text NOT NULL,
        -- Exact to a day.
        last_used_ms bigint NOT NULL,
        PRIMARY KEY (user_id, address)
      );

      -- Sessions are looked up by the hash of their id, as tokens are. They last an hour at most:
      -- whoever is in the middle of one begins again.
      DELETE FROM uia_sessions;
      ALTER TABLE uia_sessions RENAME COLUMN session_id TO session_hash;
    `);
  },
};
