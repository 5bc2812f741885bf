/** What cleaning up needs to know. */
import type { Migration } from '../migration.ts';

export const growthMigration: Migration = {
  name: '0020-growth',
  /** The index is built from one reading of user_rooms: about a second for a million memberships. */
  up: async (knex) => {
    await knex.raw(`
      -- Where the log was, once a day: what is known only by its position is as old as this says.
      CREATE TABLE log_times (
        at_ms bigint PRIMARY KEY,
        stream_pos bigint NOT NULL
      );

      -- Rooms that everybody here has forgotten, while they are being deleted.
      CREATE TABLE abandoned_rooms (
        room_nid bigint PRIMARY KEY,
        room_id text NOT NULL
      );
      CREATE UNIQUE INDEX abandoned_rooms_id ON abandoned_rooms (room_id);

      -- Only of users of this server, and few of theirs.
      CREATE INDEX user_rooms_forgotten ON user_rooms (room_nid) WHERE forgotten;
    `);
  },
};
