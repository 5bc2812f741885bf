/** What people look things up by: relations between events, time, words, names. */
import type { Migration } from '../migration.ts';

export const discoveryMigration: Migration = {
  name: '0007-discovery',
  up: async (knex) => {
    await knex.raw(`
      -- For the event nearest to a time.
      CREATE INDEX events_times ON events (room_nid, origin_server_ts)
        WHERE stream_pos IS NOT NULL;

      -- Who relates to an event, written with the event that does.
      CREATE TABLE event_relations (
        room_nid bigint NOT NULL,
        parent_id text NOT NULL,
        rel_type text NOT NULL,
        event_nid bigint NOT NULL,
        type text NOT NULL,
        sender text NOT NULL,
        PRIMARY KEY (room_nid, parent_id, event_nid)
      );
      -- For the threads of a room.
      CREATE INDEX event_relations_threads ON event_relations (room_nid, event_nid)
        WHERE rel_type = 'm.thread';

      -- How far each reader of the log has come that has one place for everybody.
      CREATE TABLE reader_cursors (
        reader text PRIMARY KEY,
        position bigint NOT NULL
      );

      CREATE INDEX state_changes_stream ON state_changes (stream_pos);

      -- Everyone in a room this server is in, as they last called themselves.
      CREATE TABLE user_directory (
        user_id text PRIMARY KEY,
        display_name text,
        avatar_url text,
        words tsvector NOT NULL
      );
      CREATE INDEX user_directory_words ON user_directory USING gin (words);

      -- Rooms whose members anyone may find.
      CREATE TABLE open_rooms (
        room_nid bigint PRIMARY KEY,
        public_join boolean NOT NULL DEFAULT false,
        world_readable boolean NOT NULL DEFAULT false,
        -- Whether anyone of this server is in it: what it knows of others is outdated.
        present boolean NOT NULL DEFAULT false
      );

      CREATE TABLE event_words (
        room_nid bigint NOT NULL,
        event_nid bigint NOT NULL,
        stream_pos bigint NOT NULL,
        -- content.body, content.name or content.topic
        key text NOT NULL,
        words tsvector NOT NULL,
        PRIMARY KEY (room_nid, event_nid, key)
      );
      CREATE INDEX event_words_words ON event_words USING gin (words);

      CREATE TABLE openid_tokens (
        token_hash text PRIMARY KEY,
        user_id text NOT NULL,
        expires_at_ms bigint NOT NULL
      );
      CREATE INDEX openid_tokens_expiry ON openid_tokens (expires_at_ms);
    `);
  },
};
