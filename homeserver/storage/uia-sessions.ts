/** The table `uia_sessions`: calls waiting for their user to prove who they are. */
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import type { Db, Tx } from './database.ts';

export interface UiaSession {
  readonly sessionId: string;
  readonly operation: string;
  readonly fingerprint: string;
  /** Each completed stage with what it has to be remembered for. */
  readonly completed: JsonObject;
  /** Once the call has been made. */
  readonly result: JsonValue | undefined;
}

interface SessionRow {
  session_id: string;
  operation: string;
  fingerprint: string;
  completed: string;
  result: string | null;
}

/** `undefined` when there is none or it has expired. */
export const uiaSessionById = async (
  db: Db,
  sessionId: string,
  nowMs: number,
): Promise<UiaSession | undefined> => {
  const { rows } = await db.query<SessionRow>({
    text: `SELECT session_id, operation, fingerprint, completed, result FROM uia_sessions
      WHERE session_id = $1 AND expires_at_ms > $2`,
    values: [sessionId, nowMs],
  });
  const row = rows[0];
  return (
    row && {
      sessionId: row.session_id,
      operation: row.operation,
      fingerprint: row.fingerprint,
      completed: JSON.parse(row.completed) as JsonObject,
      result: row.result === null ? undefined : (JSON.parse(row.result) as JsonValue),
    }
  );
};

/** As {@link uiaSessionById}, and nobody else changes it until the transaction ends. */
export const lockUiaSession = async (
  tx: Tx,
  sessionId: string,
  nowMs: number,
): Promise<UiaSession | undefined> => {
  await tx.query({
    text: 'SELECT 1 FROM uia_sessions WHERE session_id = $1 FOR UPDATE',
    values: [sessionId],
  });
  return uiaSessionById(tx, sessionId, nowMs);
};

export const insertUiaSession = async (
  tx: Tx,
  session: Omit<UiaSession, 'result'>,
  expiresAtMs: number,
): Promise<void> => {
  await tx.query({
    text: `INSERT INTO uia_sessions (session_id, operation, fingerprint, completed, expires_at_ms)
      VALUES ($1, $2, $3, $4, $5)`,
    values: [
      session.sessionId,
      session.operation,
      session.fingerprint,
      JSON.stringify(session.completed),
      expiresAtMs,
    ],
  });
};

export const setUiaCompleted = async (
  tx: Tx,
  sessionId: string,
  completed: JsonObject,
): Promise<void> => {
  await tx.query({
    text: 'UPDATE uia_sessions SET completed = $2 WHERE session_id = $1',
    values: [sessionId, JSON.stringify(completed)],
  });
};

export const setUiaResult = async (tx: Tx, sessionId: string, result: JsonValue): Promise<void> => {
  await tx.query({
    text: 'UPDATE uia_sessions SET result = $2 WHERE session_id = $1',
    values: [sessionId, JSON.stringify(result)],
  });
};

/** `false` when it is gone already: whoever deleted it has used it. */
export const deleteUiaSession = async (tx: Tx, sessionId: string): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'DELETE FROM uia_sessions WHERE session_id = $1',
    values: [sessionId],
  });
  return rowCount === 1;
};

/** Uses index uia_sessions_expiry. */
export const deleteExpiredUiaSessions = async (tx: Tx, nowMs: number): Promise<void> => {
  await tx.query({ text: 'DELETE FROM uia_sessions WHERE expires_at_ms <= $1', values: [nowMs] });
};
