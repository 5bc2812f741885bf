/** Push rules, and how far notifications have been counted. */
import type { Migration } from '../migration.ts';

export const pushMigration: Migration = {
  name: '0005-push',
  up: async (knex) => {
    await knex.raw(`
      -- What people have changed about their push rules; without a row, all is as predefined.
      CREATE TABLE push_rules (
        user_id text PRIMARY KEY,
        -- JSON: UserPushRules of spec/push-rules.
        rules text NOT NULL,
        stream_pos bigint NOT NULL
      );

      -- What each person has not read of each room, as far as it has been counted: a cursor for
      -- each of them, moved when somebody asks. See push/unread-counts.ts.
      CREATE TABLE unread_counts (
        user_id text NOT NULL,
        room_nid bigint NOT NULL,
        -- Events up to here are counted.
        counted_pos bigint NOT NULL,
        -- Receipts up to here are heeded.
        receipts_pos bigint NOT NULL,
        -- Everything up to here is read, in every thread.
        read_pos bigint NOT NULL,
        -- JSON: [thread id, ThreadCount] pairs.
        threads text NOT NULL,
        PRIMARY KEY (user_id, room_nid)
      );
    `);
  },
};
