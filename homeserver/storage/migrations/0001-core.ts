/**
 * The log and the rooms. Row keys of room tables start with the room, of user tables with the user,
 * so that a distributed PostgreSQL can spread them. `_nid` columns are internal numeric ids.
 */
import type { Knex } from 'knex';

export const up = async (knex: Knex): Promise<void> => {
  await knex.raw(`
    -- One sequence for every stream: a position is a place in the whole log.
    CREATE SEQUENCE stream_positions;
    -- Ids are handed out in blocks; see id-allocator.ts.
    CREATE SEQUENCE internal_ids INCREMENT BY 1000;

    CREATE TABLE rooms (
      room_nid bigint PRIMARY KEY,
      room_id text NOT NULL,
      version text NOT NULL,
      created_at_ms bigint NOT NULL
    );
    CREATE UNIQUE INDEX rooms_room_id ON rooms (room_id);

    -- Where a room stands: rewritten with every event, hence apart and loosely packed.
    CREATE TABLE room_heads (
      room_nid bigint PRIMARY KEY,
      extremities bigint[] NOT NULL,
      snapshot_nid bigint NOT NULL
    ) WITH (fillfactor = 50);

    CREATE TABLE events (
      room_nid bigint NOT NULL,
      event_nid bigint NOT NULL,
      event_id text NOT NULL,
      type text NOT NULL,
      state_key text,
      -- content.membership of an m.room.member event
      membership text,
      sender text NOT NULL,
      depth bigint NOT NULL,
      origin_server_ts bigint NOT NULL,
      -- The place in the timeline: live events have their own stream_pos and backfill_pos 0; an
      -- event filled into a gap has the stream_pos of the event after the gap and a negative
      -- backfill_pos. An outlier has no stream_pos.
      stream_pos bigint,
      backfill_pos bigint NOT NULL DEFAULT 0,
      -- The room state before and after the event; null while unknown (outliers).
      snapshot_before bigint,
      snapshot_after bigint,
      -- The room's current state once the event had been received: another than snapshot_after
      -- where the room has forked or the event was refused. Null unless live.
      current_snapshot bigint,
      -- The state event whose place this one took.
      replaces_nid bigint,
      rejected_reason text,
      soft_failed boolean NOT NULL DEFAULT false,
      redacted_by_nid bigint,
      -- This server passes the event on to the others in the room: its own, and those it vouched for.
      relayed boolean NOT NULL DEFAULT false,
      sender_device text,
      txn_id text,
      -- The PDU as signed, or its redacted form once redacted.
      json text NOT NULL,
      PRIMARY KEY (room_nid, event_nid)
    );
    CREATE UNIQUE INDEX events_event_id ON events (event_id, room_nid);
    CREATE INDEX events_timeline ON events (room_nid, stream_pos, backfill_pos)
      WHERE stream_pos IS NOT NULL;
    CREATE INDEX events_stream ON events (stream_pos) WHERE backfill_pos = 0;
    CREATE INDEX events_device_transactions ON events (sender, sender_device, event_nid)
      WHERE txn_id IS NOT NULL;

    -- A room state as changes on another; see rooms/state-snapshot.ts. event_nids holds the events
    -- set by this link of the chain, and the negated ids of events it removes.
    CREATE TABLE state_snapshots (
      room_nid bigint NOT NULL,
      snapshot_nid bigint NOT NULL,
      height integer NOT NULL,
      chain bigint[] NOT NULL,
      event_nids bigint[] NOT NULL,
      PRIMARY KEY (room_nid, snapshot_nid)
    );

    CREATE TABLE current_state (
      room_nid bigint NOT NULL,
      type text NOT NULL,
      state_key text NOT NULL,
      event_nid bigint NOT NULL,
      membership text,
      PRIMARY KEY (room_nid, type, state_key)
    );

    -- Every change of a room's current state, in log order. event_nid 0: the entry was removed.
    CREATE TABLE state_changes (
      room_nid bigint NOT NULL,
      stream_pos bigint NOT NULL,
      type text NOT NULL,
      state_key text NOT NULL,
      event_nid bigint NOT NULL,
      PRIMARY KEY (room_nid, stream_pos, type, state_key)
    );

    CREATE TABLE user_rooms (
      user_id text NOT NULL,
      room_nid bigint NOT NULL,
      membership text NOT NULL,
      event_nid bigint NOT NULL,
      -- Of the latest member event, and of the one that gave this membership.
      stream_pos bigint NOT NULL,
      membership_pos bigint NOT NULL,
      forgotten boolean NOT NULL DEFAULT false,
      -- What an invited or knocking user may see of a room this server is not in.
      stripped_state text,
      PRIMARY KEY (user_id, room_nid)
    );

    -- When each other server had joined members in a room: it is sent what is relayed after
    -- from_pos, up to and including to_pos.
    CREATE TABLE server_rooms (
      server text NOT NULL,
      room_nid bigint NOT NULL,
      from_pos bigint NOT NULL,
      to_pos bigint,
      PRIMARY KEY (server, room_nid, from_pos)
    );
    CREATE INDEX server_rooms_room ON server_rooms (room_nid);

    -- Backward extremities: events named by prev_events that this server does not have.
    CREATE TABLE missing_prev_events (
      room_nid bigint NOT NULL,
      event_id text NOT NULL,
      referenced_by_nid bigint NOT NULL,
      PRIMARY KEY (room_nid, event_id, referenced_by_nid)
    );

    -- Redactions received before the event they redact.
    CREATE TABLE unapplied_redactions (
      room_nid bigint NOT NULL,
      event_id text NOT NULL,
      redaction_nid bigint NOT NULL,
      PRIMARY KEY (room_nid, event_id, redaction_nid)
    );

    -- Chain cover of the auth graph; see rooms/auth-chains.ts.
    CREATE TABLE auth_chain_places (
      room_nid bigint NOT NULL,
      event_nid bigint NOT NULL,
      chain_nid bigint NOT NULL,
      seq integer NOT NULL,
      PRIMARY KEY (room_nid, event_nid)
    );
    CREATE UNIQUE INDEX auth_chain_places_chain ON auth_chain_places (room_nid, chain_nid, seq);
    CREATE TABLE auth_chain_links (
      room_nid bigint NOT NULL,
      from_chain_nid bigint NOT NULL,
      from_seq integer NOT NULL,
      to_chain_nid bigint NOT NULL,
      to_seq integer NOT NULL,
      PRIMARY KEY (room_nid, from_chain_nid, from_seq, to_chain_nid, to_seq)
    );

    CREATE TABLE receipts (
      room_nid bigint NOT NULL,
      user_id text NOT NULL,
      receipt_type text NOT NULL,
      thread_id text NOT NULL DEFAULT '',
      event_id text NOT NULL,
      -- Where the event is in the timeline; null while it is not here.
      event_pos bigint,
      received_at_ms bigint NOT NULL,
      stream_pos bigint NOT NULL,
      PRIMARY KEY (room_nid, user_id, receipt_type, thread_id)
    );
    CREATE INDEX receipts_stream ON receipts (room_nid, stream_pos);

    -- room_id '' holds the account data that belongs to no room.
    CREATE TABLE account_data (
      user_id text NOT NULL,
      room_id text NOT NULL DEFAULT '',
      type text NOT NULL,
      content text NOT NULL,
      stream_pos bigint NOT NULL,
      PRIMARY KEY (user_id, room_id, type)
    );
    CREATE INDEX account_data_stream ON account_data (user_id, stream_pos);

    CREATE TABLE room_aliases (
      alias text PRIMARY KEY,
      room_id text NOT NULL,
      creator text NOT NULL
    );
    CREATE INDEX room_aliases_room ON room_aliases (room_id);

    CREATE TABLE published_rooms (
      room_id text PRIMARY KEY
    );
  `);
};

export const down = async (knex: Knex): Promise<void> => {
  await knex.raw(`
    DROP TABLE published_rooms, room_aliases, account_data, receipts, auth_chain_links,
      auth_chain_places, unapplied_redactions, missing_prev_events, server_rooms, user_rooms, state_changes, current_state,
      state_snapshots, events, room_heads, rooms;
    DROP SEQUENCE internal_ids;
    DROP SEQUENCE stream_positions;
  `);
};
