/** What people have reported to those who run the server. */
import type { Migration } from '../migration.ts';

export const reportsMigration: Migration = {
  name: '0006-reports',
  up: async (knex) => {
    await knex.raw(`
      CREATE TABLE reports (
        report_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        reporter text NOT NULL,
        received_at_ms bigint NOT NULL,
        -- Of a room or an event in it; of a user.
        room_id text,
        event_id text,
        user_id text,
        reason text
      );
    `);
  },
};
