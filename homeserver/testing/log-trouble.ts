/** Ways to get in the way of the log: rooms it has to wait for, connections cut under it. */
import type pg from 'pg';
import type { Core } from '../core.ts';
import { Database } from '../storage/database.ts';
import { eventually } from './server-process.ts';

/**
 * Locks the room's row: the log's statement takes its positions and then waits.
 * @returns lets it go on
 */
export const holdRoom = async (core: Core, roomNid: number): Promise<() => Promise<void>> => {
  const client = await core.database.pool.connect();
  await client.query('BEGIN');
  await client.query('SELECT 1 FROM room_heads WHERE room_nid = $1 FOR UPDATE', [roomNid]);
  return async () => {
    await client.query('ROLLBACK');
    client.release();
  };
};

/** Resolves when a statement of the log waits for a held room. */
export const logWaits = (core: Core): Promise<void> =>
  eventually('the log waits for a lock', async () => {
    const { rowCount } = await core.database.query({
      text: `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
        AND application_name LIKE 'parley log%' AND wait_event_type = 'Lock'`,
    });
    return rowCount > 0;
  });

/** Every session beside a pool that is opened from here on, the log's among them; newest last. */
export const recordSessions = (): { readonly clients: pg.Client[]; stop(): void } => {
  const clients: pg.Client[] = [];
  const { session } = Database.prototype;
  Database.prototype.session = function (this: Database, settings) {
    const client = session.call(this, settings);
    clients.push(client);
    return client;
  };
  return {
    clients,
    stop: () => {
      Database.prototype.session = session;
    },
  };
};

/** Ends the connection on this side only: the database goes on with what it was told. */
export const cutSocket = (client: pg.Client | undefined): void => {
  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } };
  connection.stream.destroy();
};
