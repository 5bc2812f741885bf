/** Rooms that nobody here has to do with any more. New tables only: takes no time. */
import type { Migration } from '../migration.ts';

export const abandonedRoomsMigration: Migration = {
  name: '0024-abandoned-rooms',
  up: async (knex) => {
    await knex.raw(`
      -- Everybody here has left and forgotten them: since when, and where the log was then.
      CREATE TABLE abandoned_rooms (
        room_nid bigint PRIMARY KEY,
        since_ms bigint NOT NULL,
        since_pos bigint NOT NULL
      );
      CREATE INDEX abandoned_rooms_since ON abandoned_rooms (since_ms);

      -- Without a row in rooms, so that nobody finds what is left of them, until that is deleted too. A
      -- room of the same id may exist beside it, under another nid.
      CREATE TABLE purged_rooms (
        room_nid bigint PRIMARY KEY,
        room_id text NOT NULL,
        -- Where the log was when the room went.
        purged_pos bigint NOT NULL
      );
    `);
  },
};
