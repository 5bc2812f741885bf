/** End-to-end encryption: keys of devices and people, messages between devices, backups of keys. */
import type { Migration } from '../migration.ts';

export const encryptionMigration: Migration = {
  name: '0008-encryption',
  up: async (knex) => {
    await knex.raw(`
      -- Identity keys of this server's devices, as JSON, exactly as uploaded.
      CREATE TABLE device_keys (
        user_id text NOT NULL,
        device_id text NOT NULL,
        keys text NOT NULL,
        PRIMARY KEY (user_id, device_id)
      );

      CREATE SEQUENCE one_time_key_uploads;
      CREATE TABLE one_time_keys (
        user_id text NOT NULL,
        device_id text NOT NULL,
        algorithm text NOT NULL,
        key_id text NOT NULL,
        -- JSON: text or an object.
        key text NOT NULL,
        -- The same for all the keys of one upload: they are given out in this order.
        upload_no bigint NOT NULL,
        PRIMARY KEY (user_id, device_id, algorithm, key_id)
      );
      CREATE INDEX one_time_keys_order ON one_time_keys (user_id, device_id, algorithm, upload_no);

      CREATE TABLE fallback_keys (
        user_id text NOT NULL,
        device_id text NOT NULL,
        algorithm text NOT NULL,
        key_id text NOT NULL,
        key text NOT NULL,
        used boolean NOT NULL DEFAULT false,
        PRIMARY KEY (user_id, device_id, algorithm)
      );

      -- Cross-signing keys, of other servers' users too.
      CREATE TABLE cross_signing_keys (
        user_id text NOT NULL,
        -- master, self_signing or user_signing
        usage text NOT NULL,
        public_key text NOT NULL,
        -- JSON
        key text NOT NULL,
        PRIMARY KEY (user_id, usage)
      );

      -- Signatures made by this server's users after the signed key was uploaded.
      CREATE TABLE key_signatures (
        user_id text NOT NULL,
        -- Whose key is signed: a device id, or the public part of a master key.
        target text NOT NULL,
        signer_id text NOT NULL,
        signing_key_id text NOT NULL,
        signature text NOT NULL,
        PRIMARY KEY (user_id, target, signer_id, signing_key_id)
      );

      -- The newest change of each user's devices or keys, of other servers' users too.
      CREATE TABLE device_list_users (
        user_id text PRIMARY KEY,
        stream_pos bigint NOT NULL,
        -- Of devices alone: the stream_id that other servers know.
        devices_pos bigint NOT NULL DEFAULT 0
      );
      CREATE INDEX device_list_users_stream ON device_list_users (stream_pos);

      -- Changes made in transactions of their own, to be taken into the log.
      CREATE TABLE unlogged_device_changes (
        change_no bigserial PRIMARY KEY,
        user_id text NOT NULL,
        device_id text NOT NULL
      );

      -- Other servers' device lists. Valid for who has shared a room since before synced_pos.
      CREATE TABLE remote_device_lists (
        user_id text PRIMARY KEY,
        stream_id bigint NOT NULL,
        synced_pos bigint NOT NULL,
        stale boolean NOT NULL DEFAULT false
      );
      CREATE TABLE remote_devices (
        user_id text NOT NULL,
        device_id text NOT NULL,
        display_name text,
        -- JSON
        keys text NOT NULL,
        PRIMARY KEY (user_id, device_id)
      );

      CREATE TABLE to_device_messages (
        user_id text NOT NULL,
        device_id text NOT NULL,
        stream_pos bigint NOT NULL,
        -- The event as the client gets it, JSON.
        event text NOT NULL,
        PRIMARY KEY (user_id, device_id, stream_pos)
      );
      -- What has been sent once: source is a device here, or another server.
      CREATE TABLE to_device_message_ids (
        source text NOT NULL,
        message_id text NOT NULL,
        received_at_ms bigint NOT NULL,
        PRIMARY KEY (source, message_id)
      );
      CREATE INDEX to_device_message_ids_age ON to_device_message_ids (received_at_ms);

      -- EDUs that may not be lost. What they say of devices is filled in when they are sent.
      CREATE TABLE outbound_edus (
        stream_pos bigint PRIMARY KEY,
        edu_type text NOT NULL,
        content text NOT NULL
      );
      CREATE TABLE outbound_edu_destinations (
        destination text NOT NULL,
        stream_pos bigint NOT NULL,
        PRIMARY KEY (destination, stream_pos)
      );
      CREATE INDEX outbound_edu_destinations_stream ON outbound_edu_destinations (stream_pos);

      CREATE TABLE key_backups (
        user_id text NOT NULL,
        version bigint NOT NULL,
        algorithm text NOT NULL,
        -- JSON
        auth_data text NOT NULL,
        -- Counts the changes of its keys.
        etag bigint NOT NULL DEFAULT 0,
        deleted boolean NOT NULL DEFAULT false,
        PRIMARY KEY (user_id, version)
      );
      CREATE TABLE key_backup_keys (
        user_id text NOT NULL,
        version bigint NOT NULL,
        room_id text NOT NULL,
        session_id text NOT NULL,
        first_message_index bigint NOT NULL,
        forwarded_count bigint NOT NULL,
        is_verified boolean NOT NULL,
        -- JSON
        session_data text NOT NULL,
        PRIMARY KEY (user_id, version, room_id, session_id)
      );
    `);
  },
};
