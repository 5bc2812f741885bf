/** A room that the log cannot write to for a while: what is sent meanwhile stays uncommitted. */
import type { Core } from '../core.ts';

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
