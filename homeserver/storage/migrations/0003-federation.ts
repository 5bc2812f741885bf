/** Other servers: their signing keys, how reachable they are, and how far they have been served. */
import type { Migration } from '../migration.ts';

export const federationMigration: Migration = {
  name: '0003-federation',
  up: async (knex) => {
    await knex.raw(`
      -- Key documents exactly as other servers published them, to pass on as a notary.
      CREATE TABLE remote_key_documents (
        server_name text NOT NULL,
        -- Counts up for each server.
        document_no bigint NOT NULL,
        -- JSON
        document text NOT NULL,
        -- As published, whatever it says.
        valid_until_ts bigint NOT NULL,
        fetched_at_ms bigint NOT NULL,
        PRIMARY KEY (server_name, document_no)
      );

      CREATE TABLE remote_keys (
        server_name text NOT NULL,
        key_id text NOT NULL,
        -- Unpadded base64
        public_key text NOT NULL,
        -- Signatures made later than this do not count.
        valid_until_ms bigint NOT NULL,
        -- The latest document that lists the key.
        document_no bigint NOT NULL,
        PRIMARY KEY (server_name, key_id)
      );

      CREATE TABLE destinations (
        destination text PRIMARY KEY,
        failure_count integer NOT NULL DEFAULT 0,
        -- Not before this; 0 when nothing is wrong.
        retry_at_ms bigint NOT NULL DEFAULT 0,
        last_success_ms bigint,
        -- Everything for it up to this position has been delivered. Null: everything up to the
        -- position of the sender that serves it.
        sent_pos bigint
      );
      CREATE INDEX destinations_behind ON destinations (destination) WHERE sent_pos IS NOT NULL;

      -- One row for each share of the destinations that has a sender of its own.
      CREATE TABLE federation_senders (
        share text PRIMARY KEY,
        -- Everything up to here is delivered, but for the destinations that have a sent_pos.
        dispatched_pos bigint NOT NULL
      );
    `);
  },
};
