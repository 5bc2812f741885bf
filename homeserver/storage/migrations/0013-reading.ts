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

      -- Events of the same hour share an entry; within it they are sorted.
      DROP INDEX events_times;
      CREATE INDEX events_times ON events (room_nid, (origin_server_ts / 3600000))
        WHERE stream_pos IS NOT NULL;

      -- Read by room and position, and never in conflict.
      ALTER TABLE state_changes DROP CONSTRAINT state_changes_pkey;
      CREATE INDEX state_changes_room ON state_changes (room_nid, stream_pos);

      -- Read a room at a time.
      DROP INDEX auth_chain_places_chain;
      ALTER TABLE auth_chain_links DROP CONSTRAINT auth_chain_links_pkey;
      CREATE INDEX auth_chain_links_room ON auth_chain_links (room_nid);

      -- Written once, by a reader with a cursor, in the order of the log: 'b' for content.body, 'n' for
      -- content.name, 't' for content.topic. Words of redacted events are found by their position.
      ALTER TABLE event_words DROP CONSTRAINT event_words_pkey;
      DROP INDEX event_words_words;
      ALTER TABLE event_words ALTER COLUMN key TYPE "char" USING substr(key, 9, 1)::"char";
      CREATE INDEX event_words_log ON event_words USING brin (stream_pos)
        WITH (pages_per_range = 16, autosummarize = on);
      -- Without a list of what is pending, which takes more room than the index itself.
      CREATE INDEX event_words_words ON event_words USING gin (words) WITH (fastupdate = off);
    `);
  },
};
