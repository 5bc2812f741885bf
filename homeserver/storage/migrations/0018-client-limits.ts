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

      -- What a backup holds, kept with every change: counting a large one at each costs too much.
      -- Filling it in reads key_backup_keys once, about a second for each million of keys.
      ALTER TABLE key_backups
        ADD COLUMN key_count bigint NOT NULL DEFAULT 0,
        ADD COLUMN key_bytes bigint NOT NULL DEFAULT 0;
      UPDATE key_backups b SET key_count = k.key_count, key_bytes = k.key_bytes
      FROM (
        SELECT user_id, version, count(*) AS key_count,
          sum(octet_length(room_id) + octet_length(session_id) + octet_length(session_data))
            AS key_bytes
        FROM key_backup_keys GROUP BY user_id, version
      ) k
      WHERE b.user_id = k.user_id AND b.version = k.version;
    `);
  },
};
