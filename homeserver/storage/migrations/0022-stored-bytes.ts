/**
 * What an event takes on disk. Of a large database this builds two indexes of `events` anew: some ten
 * seconds for a million events, during which nothing is written. What is stored stays as it is.
 */
import { randomBytes } from 'node:crypto';
import type { Migration } from '../migration.ts';

export const storedBytesMigration: Migration = {
  name: '0022-stored-bytes',
  up: async (knex) => {
    // With a seed that this database alone has: nobody outside can make two texts of one key.
    const seed = randomBytes(8).readBigInt64LE();
    await knex.raw(`
      -- A text as short as its place in an index can be; see storage/text-keys.ts.
      CREATE FUNCTION text_key(text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT hashtextextended($1, ${seed}) $$;

      DROP INDEX events_event_id;
      CREATE UNIQUE INDEX events_event_id ON events (text_key(event_id), room_nid);
      DROP INDEX events_transactions;
      CREATE UNIQUE INDEX events_transactions ON events (
        text_key(sender || chr(10) || sender_device),
        text_key(room_nid::text || chr(10) || type || chr(10) || coalesce(txn_target, '')
          || chr(10) || txn_id)
      ) WHERE txn_id IS NOT NULL;

      -- The first link of a place in the chain cover, which most have and few have more than, is kept
      -- with the place.
      ALTER TABLE auth_chain_places ADD COLUMN to_chain_nid bigint, ADD COLUMN to_seq integer;

      -- For the planner to know what the new indexes are worth.
      ANALYZE events;
    `);
  },
};
