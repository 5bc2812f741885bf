/** Erased people, and who is found by which name. */
import type { Migration } from '../migration.ts';

export const accessMigration: Migration = {
  name: '0014-access',
  /** The user directory is made anew from the log by its reader, in small steps beside everything else. */
  up: async (knex) => {
    await knex.raw(`
      -- Position of the log when the user asked to be erased: who comes to a room later gets redacted
      -- copies of what they sent. For those erased before this was kept, now.
      ALTER TABLE users ADD COLUMN erased_pos bigint;
      UPDATE users SET erased_pos =
        (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM stream_positions)
        WHERE erased;
      CREATE INDEX users_erased ON users (user_id) WHERE erased_pos IS NOT NULL;

      DROP TABLE user_directory;
      CREATE TABLE user_directory (
        user_id text NOT NULL,
        -- In which this is what a user of another server calls themselves; 0 for users of this server,
        -- who are found by their profile.
        room_nid bigint NOT NULL,
        display_name text,
        avatar_url text,
        words tsvector NOT NULL,
        PRIMARY KEY (user_id, room_nid)
      );
      CREATE INDEX user_directory_words ON user_directory USING gin (words);
      DELETE FROM reader_cursors WHERE reader = 'user directory';
    `);
  },
};
