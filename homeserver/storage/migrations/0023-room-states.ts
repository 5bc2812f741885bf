/**
 * What the states of rooms and their members take on disk. Changes of states, snapshots, places of auth
 * chains and members' rooms are written anew, a row each for each change that a room's state has had:
 * some twenty seconds for a million, and as much free space as the old tables have until the end.
 */
import type { Migration } from '../migration.ts';

export const roomStatesMigration: Migration = {
  name: '0023-room-states',
  up: async (knex) => {
    await knex.raw(`
      -- Every change of a room's current state, in log order, with those that are current marked: one
      -- row is both what changed and what is so now. event_nid 0: the entry was removed. The columns
      -- of one size come first, so that nothing is lost between them.
      CREATE TABLE state_history (
        room_nid bigint NOT NULL,
        stream_pos bigint NOT NULL,
        event_nid bigint NOT NULL,
        is_current boolean NOT NULL,
        type text NOT NULL,
        state_key text NOT NULL,
        membership text
      );
      -- Rows of the current state that no change is known of come first of all.
      INSERT INTO state_history
        SELECT c.room_nid, 0, c.event_nid, true, c.type, c.state_key, c.membership
        FROM current_state c LEFT JOIN state_changes s USING (room_nid, event_nid, type, state_key)
        WHERE s.room_nid IS NULL;
      INSERT INTO state_history
        SELECT s.room_nid, s.stream_pos, s.event_nid,
          c.event_nid IS NOT NULL AND row_number() OVER (
            PARTITION BY s.room_nid, s.type, s.state_key, s.event_nid
            ORDER BY s.stream_pos DESC, s.ctid DESC) = 1,
          s.type, s.state_key, c.membership
        FROM state_changes s LEFT JOIN current_state c USING (room_nid, event_nid, type, state_key)
        ORDER BY s.stream_pos, s.ctid;
      DROP TABLE current_state, state_changes;
      ALTER TABLE state_history RENAME TO state_changes;
      CREATE INDEX state_changes_room ON state_changes (room_nid, stream_pos);
      CREATE INDEX state_changes_stream ON state_changes (stream_pos);
      -- By the key of the entry; see storage/text-keys.ts.
      CREATE UNIQUE INDEX state_changes_current ON state_changes (
        room_nid, hashtextextended(state_key, text_key(type))
      ) WHERE is_current;
      CREATE VIEW current_state AS
        SELECT room_nid, type, state_key, event_nid, membership FROM state_changes WHERE is_current;

      -- A room state as changes on another; see storage/packed-nids.ts and rooms/state-snapshot.ts.
      CREATE TABLE packed_snapshots (
        room_nid bigint NOT NULL,
        snapshot_nid bigint NOT NULL,
        height integer NOT NULL,
        -- The snapshots it builds on, nearest first.
        below text NOT NULL,
        -- The events set by this link of the chain, and the negated ids of events it removes.
        event_nids text NOT NULL
      );
      INSERT INTO packed_snapshots
        SELECT room_nid, snapshot_nid, height,
          (SELECT coalesce(string_agg(step::text, ' ' ORDER BY place), '') FROM (
            SELECT place, lag(nid, 1, snapshot_nid) OVER (ORDER BY place) - nid AS step
            FROM unnest(chain[2:]) WITH ORDINALITY AS links (nid, place)) steps),
          (SELECT coalesce(string_agg(step::text, ' ' ORDER BY place), '') FROM (
            SELECT place, lag(nid, 1, snapshot_nid) OVER (ORDER BY place) - nid AS step
            FROM unnest(event_nids) WITH ORDINALITY AS events (nid, place)) steps)
        FROM state_snapshots;
      DROP TABLE state_snapshots;
      ALTER TABLE packed_snapshots RENAME TO state_snapshots;
      ALTER TABLE state_snapshots ADD PRIMARY KEY (room_nid, snapshot_nid);

      -- As before, with columns of one size first.
      CREATE TABLE ordered_rooms (
        room_nid bigint NOT NULL,
        event_nid bigint NOT NULL,
        -- Of the latest member event, and of the one that gave this membership.
        stream_pos bigint NOT NULL,
        membership_pos bigint NOT NULL,
        user_id text NOT NULL,
        membership text NOT NULL,
        forgotten boolean NOT NULL DEFAULT false,
        -- What an invited or knocking user may see of a room this server is not in.
        stripped_state text
      );
      INSERT INTO ordered_rooms
        SELECT room_nid, event_nid, stream_pos, membership_pos, user_id, membership, forgotten,
          stripped_state
        FROM user_rooms;
      DROP TABLE user_rooms;
      ALTER TABLE ordered_rooms RENAME TO user_rooms;
      ALTER TABLE user_rooms ADD PRIMARY KEY (user_id, room_nid);

      CREATE TABLE ordered_places (
        room_nid bigint NOT NULL,
        event_nid bigint NOT NULL,
        chain_nid bigint NOT NULL,
        -- The first link of the place, if it has one.
        to_chain_nid bigint,
        seq integer NOT NULL,
        to_seq integer
      );
      INSERT INTO ordered_places
        SELECT room_nid, event_nid, chain_nid, to_chain_nid, seq, to_seq FROM auth_chain_places;
      DROP TABLE auth_chain_places;
      ALTER TABLE ordered_places RENAME TO auth_chain_places;
      ALTER TABLE auth_chain_places ADD PRIMARY KEY (room_nid, event_nid);

      -- Without a list of what is pending, which takes more room than the index itself.
      ALTER INDEX user_directory_words SET (fastupdate = off);

      -- For the planner to know what the new tables hold.
      ANALYZE state_changes;
      ANALYZE state_snapshots;
      ANALYZE user_rooms;
      ANALYZE auth_chain_places;
    `);
    // The list that is pending is emptied for good.
    await knex.raw(`SELECT gin_clean_pending_list('user_directory_words')`);
  },
};
