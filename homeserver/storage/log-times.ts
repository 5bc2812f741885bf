/** The table `log_times`: where the log was when. */
import type { Db, Tx } from './database.ts';

const DAY_MS = 86_400_000;
/** Nothing asks for what is older. */
const KEPT_MS = 3 * 365 * DAY_MS;

/** Notes where the log is, at most once a day. */
export const noteLogTime = async (tx: Tx, nowMs: number): Promise<number> => {
  await tx.query({
    text: `INSERT INTO log_times (at_ms, stream_pos)
      SELECT $1::bigint, last_value FROM stream_positions
      WHERE NOT EXISTS (SELECT FROM log_times WHERE at_ms > $1 - ${DAY_MS})`,
    values: [nowMs],
  });
  const { rowCount } = await tx.query({
    text: 'DELETE FROM log_times WHERE at_ms < $1',
    values: [nowMs - KEPT_MS],
  });
  return rowCount;
};

/** Everything up to this position is older than `atMs`: 0 where nothing is known to be. */
export const logPositionAt = async (db: Db, atMs: number): Promise<number> => {
  const { rows } = await db.query<{ stream_pos: number }>({
    text: 'SELECT stream_pos FROM log_times WHERE at_ms <= $1 ORDER BY at_ms DESC LIMIT 1',
    values: [atMs],
  });
  return rows[0]?.stream_pos ?? 0;
};
