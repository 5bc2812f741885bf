/** The table `openid_tokens`. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';
import type { Expiry } from './walk.ts';

export const putOpenIdToken = async (
  tx: Tx,
  row: { readonly tokenHash: string; readonly userId: UserId; readonly expiresAtMs: number },
): Promise<void> => {
  await tx.query({
    text: 'INSERT INTO openid_tokens (token_hash, user_id, expires_at_ms) VALUES ($1, $2, $3)',
    values: [row.tokenHash, row.userId, row.expiresAtMs],
  });
};

export const openIdTokenOwner = async (
  db: Db,
  tokenHash: string,
  nowMs: number,
): Promise<UserId | undefined> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    text: 'SELECT user_id FROM openid_tokens WHERE token_hash = $1 AND expires_at_ms > $2',
    values: [tokenHash, nowMs],
  });
  return rows[0]?.user_id;
};

/** `$1`: now. Uses index openid_tokens_expiry. */
export const expiredOpenIdTokens: Expiry = {
  table: 'openid_tokens',
  gone: 'expires_at_ms <= $1',
  order: 'expires_at_ms',
};
