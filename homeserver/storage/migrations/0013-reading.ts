/**
 * What is read often, kept where it is read. Of a large database this builds the indexes of `events`
 * anew: some ten seconds for a million events, during which nothing is written.
 */
import type { Migration } from '../migration.ts';

export const readingMigration: Migration = {
  name: '0013-reading',
  up: async (knex) => {
    await knex.raw(`
      -- What an event means to people with the predefined push rules: push/push-mark.ts. Null for
      -- what was stored before this was kept, which the rules are then asked about.
      ALTER TABLE events ADD COLUMN push_mark integer;

      -- Unread events are counted from this index alone.
      DROP INDEX events_timeline;
      CREATE INDEX events_timeline ON events (room_nid, stream_pos, backfill_pos)
        INCLUDE (push_mark) WHERE stream_pos IS NOT NULL;

      -- Members in the room's current state.
      ALTER TABLE room_heads ADD COLUMN joined integer NOT NULL DEFAULT 0,
        ADD COLUMN invited integer NOT NULL DEFAULT 0;
      UPDATE room_heads h SET joined = m.joined, invited = m.invited
        FROM (
          SELECT room_nid, count(*) FILTER (WHERE membership = 'join') AS joined,
            count(*) FILTER (WHERE membership = 'invite') AS invited
          FROM current_state WHERE type = 'm.room.member' GROUP BY room_nid
        ) m WHERE m.room_nid = h.room_nid;
    `);
  },
};
