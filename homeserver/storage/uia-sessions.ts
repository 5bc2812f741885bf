/**
 * The table `uia_sessions`: calls waiting for their user to prove who they are. Sessions are known by
 * the hash of their id.
 */
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import type { Db, Tx } from './database.ts';
import type { Expiry } from './walk.ts';

export interface UiaSession {
  readonly sessionHash: string;
  readonly operation: string;
  readonly fingerprint: string;
  /** Each completed stage with what it has to be remembered for. */
  readonly completed: JsonObject;
  /** Once the call has been made. */
  readonly result: JsonValue | undefined;
}

interface SessionRow {
  session_hash: string;
  operation: string;
  fingerprint: string;
  completed: string;
  result: string | null;
}

/** `undefined` when there is none or it has expired. */
export const uiaSession = async (
  db: Db,
  sessionHash: string,
  nowMs: number,
): Promise<UiaSession | undefined> => {
  const { rows } = await db.query<SessionRow>({
    text: `SELECT session_hash, operation, fingerprint, completed, result FROM uia_sessions
      WHERE session_hash = $1 AND expires_at_ms > $2`,
    values: [sessionHash, nowMs],
  });
  const row = rows[0];
  return (
    row && {
      sessionHash: row.session_hash,
      operation: row.operation,
      fingerprint: row.fingerprint,
      completed: JSON.parse(row.completed) as JsonObject,
      result: row.result === null ? undefined : (JSON.parse(row.result) as JsonValue),
    }
  );
};

/** As {@link uiaSession}, and nobody else changes it until the transaction ends. */
export const lockUiaSession = async (
  tx: Tx,
  sessionHash: string,
  nowMs: number,
): Promise<UiaSession | undefined> => {
  await tx.query({
    text: 'SELECT 1 FROM uia_sessions WHERE session_hash = $1 FOR UPDATE',
    values: [sessionHash],
  });
  return uiaSession(tx, sessionHash, nowMs);
};

export const insertUiaSession = async (
  tx: Tx,
  session: Omit<UiaSession, 'result'>,
  expiresAtMs: number,
): Promise<void> => {
  await tx.query({
    text: `INSERT INTO uia_sessions (session_hash, operation, fingerprint, completed, expires_at_ms)
      VALUES ($1, $2, $3, $4, $5)`,
    values: [
      session.sessionHash,
      session.operation,
      session.fingerprint,
      JSON.stringify(session.completed),
      expiresAtMs,
    ],
  });
};

export const setUiaCompleted = async (
  tx: Tx,
  sessionHash: string,
  completed: JsonObject,
): Promise<void> => {
  await tx.query({
    text: 'UPDATE uia_sessions SET completed = $2 WHERE session_hash = $1',
    values: [sessionHash, JSON.stringify(completed)],
  });
};

/** The session then ends at `expiresAtMs`, if not before. */
export const setUiaResult = async (
  tx: Tx,
  sessionHash: string,
  result: JsonValue,
  expiresAtMs: number,
): Promise<void> => {
  await tx.query({
    text: `UPDATE uia_sessions SET result = $2, expires_at_ms = least(expires_at_ms, $3)
      WHERE session_hash = $1`,
    values: [sessionHash, JSON.stringify(result), expiresAtMs],
  });
};

/** `false` when it is gone already: whoever deleted it has used it. */
export const deleteUiaSession = async (tx: Tx, sessionHash: string): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'DELETE FROM uia_sessions WHERE session_hash = $1',
    values: [sessionHash],
  });
  return rowCount === 1;
};

/** `$1`: now. Uses index uia_sessions_expiry. */
export const expiredUiaSessions: Expiry = {
  table: 'uia_sessions',
  gone: 'expires_at_ms <= $1',
  order: 'expires_at_ms',
};
