/** Events of other servers that wait for what they refer to. */
import type { Migration } from '../migration.ts';

export const inboundMigration: Migration = {
  name: '0004-inbound',
  up: async (knex) => {
    await knex.raw(`
      CREATE TABLE inbound_pdus (
        room_id text NOT NULL,
        event_id text NOT NULL,
        -- The order of arrival.
        arrival_no bigint GENERATED ALWAYS AS IDENTITY,
        origin text NOT NULL,
        received_at_ms bigint NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        -- Not before this; 0 at once.
        retry_at_ms bigint NOT NULL DEFAULT 0,
        -- The PDU, its signatures and hash checked.
        json text NOT NULL,
        PRIMARY KEY (room_id, event_id)
      );
      CREATE INDEX inbound_pdus_arrival ON inbound_pdus (room_id, arrival_no);
    `);
  },
};
