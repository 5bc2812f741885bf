/**
 * People: their accounts, devices, tokens and what belongs to them alone. Row keys start with the
 * user, except of tables that are looked up by a secret. Secrets are stored hashed: SHA-256 in
 * unpadded URL-safe base64, or Argon2id for passwords.
 */
import type { Migration } from '../migration.ts';

export const accountsMigration: Migration = {
  name: '0002-accounts',
  up: async (knex) => {
    await knex.raw(`
      CREATE TABLE users (
        user_id text PRIMARY KEY,
        -- Null: this account has no password to log in with.
        password_hash text,
        is_admin boolean NOT NULL DEFAULT false,
        is_guest boolean NOT NULL DEFAULT false,
        -- The application service that made the account.
        appservice_id text,
        created_at_ms bigint NOT NULL,
        deactivated_at_ms bigint,
        erased boolean NOT NULL DEFAULT false,
        -- A deactivated account may still have rooms to leave; see accounts/deactivation.ts.
        departed boolean NOT NULL DEFAULT true,
        locked boolean NOT NULL DEFAULT false,
        suspended boolean NOT NULL DEFAULT false
      );
      CREATE INDEX users_departing ON users (user_id) WHERE NOT departed;

      -- Things that happen once in the life of a server.
      CREATE TABLE server_facts (
        fact text PRIMARY KEY,
        value text NOT NULL
      );

      CREATE TABLE profile_fields (
        user_id text NOT NULL,
        field text NOT NULL,
        -- JSON
        value text NOT NULL,
        PRIMARY KEY (user_id, field)
      );

      CREATE TABLE devices (
        user_id text NOT NULL,
        device_id text NOT NULL,
        display_name text,
        created_at_ms bigint NOT NULL,
        last_seen_ms bigint,
        last_seen_ip text,
        last_seen_user_agent text,
        PRIMARY KEY (user_id, device_id)
      );

      CREATE TABLE access_tokens (
        token_hash text PRIMARY KEY,
        user_id text NOT NULL,
        device_id text NOT NULL,
        created_at_ms bigint NOT NULL,
        -- Null: never.
        expires_at_ms bigint,
        -- Made by a refresh and not used yet: its first use revokes the older tokens of its device.
        unused boolean NOT NULL DEFAULT false
      );
      CREATE INDEX access_tokens_device ON access_tokens (user_id, device_id);

      CREATE TABLE refresh_tokens (
        token_hash text PRIMARY KEY,
        user_id text NOT NULL,
        device_id text NOT NULL,
        created_at_ms bigint NOT NULL,
        -- As in access_tokens.
        unused boolean NOT NULL DEFAULT false
      );
      CREATE INDEX refresh_tokens_device ON refresh_tokens (user_id, device_id);

      -- For m.login.token: each logs in once.
      CREATE TABLE login_tokens (
        token_hash text PRIMARY KEY,
        user_id text NOT NULL,
        expires_at_ms bigint NOT NULL
      );
      CREATE INDEX login_tokens_user ON login_tokens (user_id);
      CREATE INDEX login_tokens_expiry ON login_tokens (expires_at_ms);

      CREATE TABLE registration_tokens (
        token text PRIMARY KEY,
        -- Null: any number of times.
        uses_allowed integer,
        uses_completed integer NOT NULL DEFAULT 0,
        created_at_ms bigint NOT NULL,
        expires_at_ms bigint
      );

      CREATE TABLE uia_sessions (
        session_id text PRIMARY KEY,
        -- Which call the session is for; see accounts/interactive-auth.ts.
        operation text NOT NULL,
        fingerprint text NOT NULL,
        -- JSON object: each completed stage with what it has to be remembered for.
        completed text NOT NULL,
        -- JSON, once the call has been made.
        result text,
        expires_at_ms bigint NOT NULL
      );
      CREATE INDEX uia_sessions_expiry ON uia_sessions (expires_at_ms);

      CREATE TABLE threepids (
        user_id text NOT NULL,
        medium text NOT NULL,
        address text NOT NULL,
        validated_at_ms bigint NOT NULL,
        added_at_ms bigint NOT NULL,
        PRIMARY KEY (user_id, medium, address)
      );
      CREATE UNIQUE INDEX threepids_address ON threepids (medium, address);

      CREATE TABLE filters (
        user_id text NOT NULL,
        filter_id integer NOT NULL,
        -- JSON as uploaded, and its hash.
        definition text NOT NULL,
        definition_hash text NOT NULL,
        PRIMARY KEY (user_id, filter_id)
      );
      CREATE UNIQUE INDEX filters_definition ON filters (user_id, definition_hash);
    `);
  },
};
