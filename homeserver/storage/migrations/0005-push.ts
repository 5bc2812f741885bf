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
    `);
  },
};
