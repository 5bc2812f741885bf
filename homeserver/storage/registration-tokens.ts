/** The table `registration_tokens`. */
import type { Db, Tx } from './database.ts';
import type { Walk } from './walk.ts';

export interface RegistrationToken {
  readonly token: string;
  /** `undefined`: any number of times. */
  readonly usesAllowed: number | undefined;
  readonly usesCompleted: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | undefined;
}

interface TokenRow {
  token: string;
  uses_allowed: number | null;
  uses_completed: number;
  created_at_ms: number;
  expires_at_ms: number | null;
}

const COLUMNS = 'token, uses_allowed, uses_completed, created_at_ms, expires_at_ms';

const toToken = (row: TokenRow): RegistrationToken => ({
  token: row.token,
  usesAllowed: row.uses_allowed ?? undefined,
  usesCompleted: row.uses_completed,
  createdAtMs: row.created_at_ms,
  expiresAtMs: row.expires_at_ms ?? undefined,
});

export const registrationTokenByName = async (
  db: Db,
  token: string,
): Promise<RegistrationToken | undefined> => {
  const { rows } = await db.query<TokenRow>({
    text: `SELECT ${COLUMNS} FROM registration_tokens WHERE token = $1`,
    values: [token],
  });
  return rows[0] && toToken(rows[0]);
};

/** The newest first. */
export const listRegistrationTokens = async (
  db: Db,
  limit: number,
): Promise<RegistrationToken[]> => {
  const { rows } = await db.query<TokenRow>({
    text: `SELECT ${COLUMNS} FROM registration_tokens ORDER BY created_at_ms DESC, token LIMIT $1`,
    values: [limit],
  });
  return rows.map(toToken);
};

/** `false` when there is such a token already. */
export const insertRegistrationToken = async (
  tx: Tx,
  token: Omit<RegistrationToken, 'usesCompleted'>,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `INSERT INTO registration_tokens (token, uses_allowed, created_at_ms, expires_at_ms)
      VALUES ($1, $2, $3, $4) ON CONFLICT (token) DO NOTHING`,
    values: [token.token, token.usesAllowed ?? null, token.createdAtMs, token.expiresAtMs ?? null],
  });
  return rowCount === 1;
};

/** Counts one use; `false` when none is left, the token has expired or never was. */
export const useRegistrationToken = async (
  tx: Tx,
  token: string,
  nowMs: number,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `UPDATE registration_tokens SET uses_completed = uses_completed + 1
      WHERE token = $1 AND (uses_allowed IS NULL OR uses_completed < uses_allowed)
        AND (expires_at_ms IS NULL OR expires_at_ms > $2)`,
    values: [token, nowMs],
  });
  return rowCount === 1;
};

/** Whether there was such a token. */
export const deleteRegistrationToken = async (tx: Tx, token: string): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'DELETE FROM registration_tokens WHERE token = $1',
    values: [token],
  });
  return rowCount === 1;
};

/** `beforeMs`: expired before then. */
export const oldRegistrationTokens: Walk = {
  table: 'registration_tokens',
  key: [['token', 'text']],
  gone: 't.expires_at_ms < :beforeMs',
};
