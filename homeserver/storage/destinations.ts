/** The tables `destinations` and `federation_senders`: reachability and progress of delivery. */
import type { ServerName } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';
import type { Walk } from './walk.ts';

export interface DestinationRetry {
  readonly destination: ServerName;
  /** In a row; 0 when nothing is wrong. */
  readonly failureCount: number;
  readonly retryAtMs: number;
  readonly lastSuccessMs: number | undefined;
}

export interface DestinationChange extends DestinationRetry {
  /** Now, if it failed: of failures in a row the first time is kept. */
  readonly failedAtMs: number | undefined;
}

/** Destinations that something was to be delivered to, those that were reached last first. */
export const knownDestinations = async (db: Db, limit: number): Promise<ServerName[]> => {
  const { rows } = await db.query<{ destination: ServerName }>({
    text: `SELECT destination FROM destinations
      ORDER BY last_success_ms DESC NULLS LAST LIMIT $1`,
    values: [limit],
  });
  return rows.map(({ destination }) => destination);
};

/** The destinations that failed when last tried, those to be retried last first. */
export const failingDestinations = async (db: Db, limit: number): Promise<DestinationRetry[]> => {
  const { rows } = await db.query<{
    destination: ServerName;
    failure_count: number;
    retry_at_ms: number;
    last_success_ms: number | null;
  }>({
    text: `SELECT destination, failure_count, retry_at_ms, last_success_ms FROM destinations
      WHERE failure_count > 0 ORDER BY retry_at_ms DESC LIMIT $1`,
    values: [limit],
  });
  return rows.map((row) => ({
    destination: row.destination,
    failureCount: row.failure_count,
    retryAtMs: row.retry_at_ms,
    lastSuccessMs: row.last_success_ms ?? undefined,
  }));
};

/** Keeps `last_success_ms` where no newer one is given. */
export const saveDestinationRetry = async (db: Db, retry: DestinationChange): Promise<void> => {
  await db.query({
    text: `INSERT INTO destinations
        (destination, failure_count, retry_at_ms, last_success_ms, failing_since_ms)
      VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (destination) DO UPDATE
      SET failure_count = $2, retry_at_ms = $3,
        last_success_ms = coalesce($4, destinations.last_success_ms),
        failing_since_ms = CASE WHEN $5 IS NULL THEN NULL
          ELSE coalesce(destinations.failing_since_ms, $5) END`,
    values: [
      ...[retry.destination, retry.failureCount, retry.retryAtMs, retry.lastSuccessMs ?? null],
      retry.failedAtMs ?? null,
    ],
  });
};

/** How far a sender had dispatched; `undefined` for one that never ran. */
export const dispatchedPosition = async (db: Db, share: string): Promise<number | undefined> => {
  const { rows } = await db.query<{ dispatched_pos: number }>({
    text: 'SELECT dispatched_pos FROM federation_senders WHERE share = $1',
    values: [share],
  });
  return rows[0]?.dispatched_pos;
};

/** The destinations that lack something, with the position up to which they have everything. */
export const destinationsBehind = async (db: Db): Promise<Map<ServerName, number>> => {
  const { rows } = await db.query<{ destination: ServerName; sent_pos: number }>({
    text: 'SELECT destination, sent_pos FROM destinations WHERE sent_pos IS NOT NULL',
  });
  return new Map(rows.map((row) => [row.destination, row.sent_pos]));
};

export interface SenderProgress {
  readonly share: string;
  readonly dispatchedPos: number;
  /** Destinations that lack something, and since where. */
  readonly behind: ReadonlyMap<ServerName, number>;
  /** Destinations that were behind and have caught up. */
  readonly caughtUp: readonly ServerName[];
}

/** Together, so that after a crash nothing lies between the sender and its destinations. */
export const saveSenderProgress = async (tx: Tx, progress: SenderProgress): Promise<void> => {
  await tx.query({
    text: `INSERT INTO federation_senders (share, dispatched_pos) VALUES ($1, $2)
      ON CONFLICT (share) DO UPDATE
      SET dispatched_pos = greatest(federation_senders.dispatched_pos, $2)`,
    values: [progress.share, progress.dispatchedPos],
  });
  if (progress.behind.size > 0) {
    // In order of name, so that two of these statements cannot block each other.
    const behind = [...progress.behind].sort(([a], [b]) => (a < b ? -1 : 1));
    await tx.query({
      text: `INSERT INTO destinations (destination, sent_pos)
        SELECT * FROM unnest($1::text[], $2::bigint[])
        ON CONFLICT (destination) DO UPDATE SET sent_pos = excluded.sent_pos`,
      values: [behind.map(([destination]) => destination), behind.map(([, position]) => position)],
    });
  }
  if (progress.caughtUp.length > 0) {
    await tx.query({
      text: 'UPDATE destinations SET sent_pos = NULL WHERE destination = ANY($1)',
      values: [progress.caughtUp],
    });
  }
};

/** SQL: what every sender has dispatched. */
export const dispatchedByAll = '(SELECT coalesce(min(dispatched_pos), 0) FROM federation_senders)';

/** Of servers that share no room, that nothing waits for, and that were last heard of before `beforeMs`. */
export const unmetDestinations: Walk = {
  table: 'destinations',
  key: [['destination', 'text']],
  gone: `t.sent_pos IS NULL AND coalesce(greatest(t.last_success_ms, t.failing_since_ms), 0) < :beforeMs
    AND NOT EXISTS (SELECT FROM server_rooms s WHERE s.server = t.destination AND s.to_pos IS NULL)
    AND NOT EXISTS (SELECT FROM outbound_edu_destinations o WHERE o.destination = t.destination)`,
};

/** Times that a server was in a room, long delivered, but for the last of each: it says they have met. */
export const pastServerStays: Walk = {
  table: 'server_rooms',
  key: [
    ['server', 'text'],
    ['room_nid', 'bigint'],
    ['from_pos', 'bigint'],
  ],
  gone: `t.to_pos <= least(:beforePos, ${dispatchedByAll})
    AND NOT EXISTS (SELECT FROM destinations d
      WHERE d.destination = t.server AND d.sent_pos < t.to_pos)
    AND EXISTS (SELECT FROM server_rooms s WHERE s.server = t.server AND s.room_nid = t.room_nid
      AND s.from_pos > t.from_pos)`,
};
