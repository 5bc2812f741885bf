/**
 * One event for each transaction, by decree of the database. A big table is read twice, for repeats
 * that were taken for something new and to build the index: some ten seconds for a million events.
 */
import type { Knex } from 'knex';
import type { Migration } from '../migration.ts';

export const transactionsMigration: Migration = {
  name: '0011-transactions',
  async up(knex: Knex): Promise<void> {
    await knex.raw(`
      -- What else the path of the request names besides room, type and transaction: a redaction's target.
      ALTER TABLE events ADD COLUMN txn_target text;

      UPDATE events e SET txn_id = NULL FROM (
        SELECT room_nid, event_nid, row_number() OVER (
            PARTITION BY sender, sender_device, room_nid, type, txn_id ORDER BY event_nid) AS nth
          FROM events WHERE txn_id IS NOT NULL
        ) repeats
        WHERE nth > 1 AND e.room_nid = repeats.room_nid AND e.event_nid = repeats.event_nid;

      DROP INDEX events_device_transactions;
      -- A hash, because ids are long and every message has an entry here.
      CREATE UNIQUE INDEX events_transactions ON events (sender, sender_device, room_nid,
        hashtextextended(type || chr(10) || coalesce(txn_target, '') || chr(10) || txn_id, 0))
        WHERE txn_id IS NOT NULL;
    `);
  },
};
