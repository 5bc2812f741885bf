/** The tables `access_tokens`, `refresh_tokens` and `login_tokens`. Only hashes are seen here. */
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';
import type { Expiry } from './walk.ts';

/** An access token with what every authenticated request needs to know of its owner. */
export interface TokenOwner {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly expiresAtMs: number | undefined;
  /** Made by a refresh, and this is its first use. */
  readonly unused: boolean;
  readonly isAdmin: boolean;
  readonly isGuest: boolean;
  readonly locked: boolean;
  readonly suspended: boolean;
}

interface TokenOwnerRow {
  token_hash: string;
  user_id: UserId;
  device_id: DeviceId;
  expires_at_ms: number | null;
  unused: boolean;
  is_admin: boolean;
  is_guest: boolean;
  locked: boolean;
  suspended: boolean;
}

const toTokenOwner = (row: TokenOwnerRow): TokenOwner => ({
  userId: row.user_id,
  deviceId: row.device_id,
  expiresAtMs: row.expires_at_ms ?? undefined,
  unused: row.unused,
  isAdmin: row.is_admin,
  isGuest: row.is_guest,
  locked: row.locked,
  suspended: row.suspended,
});

/** By the hash of the token; those that nobody may use are left out. */
export const ownersOfTokens = async (
  db: Db,
  tokenHashes: readonly string[],
): Promise<Map<string, TokenOwner>> => {
  const { rows } = await db.query<TokenOwnerRow>({
    name: 'access-token-owners',
    text: `SELECT t.token_hash, t.user_id, t.device_id, t.expires_at_ms, t.unused, u.is_admin,
        u.is_guest, u.locked, u.suspended
      FROM access_tokens t JOIN users u USING (user_id)
      WHERE t.token_hash = ANY($1::text[]) AND u.deactivated_at_ms IS NULL`,
    values: [tokenHashes],
  });
  return new Map(rows.map((row) => [row.token_hash, toTokenOwner(row)]));
};

export const ownerOfToken = async (db: Db, tokenHash: string): Promise<TokenOwner | undefined> =>
  (await ownersOfTokens(db, [tokenHash])).get(tokenHash);

export interface NewToken {
  readonly tokenHash: string;
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  readonly createdAtMs: number;
  readonly unused: boolean;
}

export const insertAccessToken = async (
  tx: Tx,
  token: NewToken & { readonly expiresAtMs: number | undefined },
): Promise<void> => {
  await tx.query({
    text: `INSERT INTO access_tokens
        (token_hash, user_id, device_id, created_at_ms, expires_at_ms, unused)
      VALUES ($1, $2, $3, $4, $5, $6)`,
    values: [
      token.tokenHash,
      token.userId,
      token.deviceId,
      token.createdAtMs,
      token.expiresAtMs ?? null,
      token.unused,
    ],
  });
};

export const insertRefreshToken = async (tx: Tx, token: NewToken): Promise<void> => {
  await tx.query({
    text: `INSERT INTO refresh_tokens (token_hash, user_id, device_id, created_at_ms, unused)
      VALUES ($1, $2, $3, $4, $5)`,
    values: [token.tokenHash, token.userId, token.deviceId, token.createdAtMs, token.unused],
  });
};

export interface RefreshTokenOwner {
  readonly userId: UserId;
  readonly deviceId: DeviceId;
  /** Made by a refresh and not used yet. */
  readonly unused: boolean;
  readonly locked: boolean;
}

export const ownerOfRefreshToken = async (
  db: Db,
  tokenHash: string,
): Promise<RefreshTokenOwner | undefined> => {
  const { rows } = await db.query<{
    user_id: UserId;
    device_id: DeviceId;
    unused: boolean;
    locked: boolean;
  }>({
    text: `SELECT t.user_id, t.device_id, t.unused, u.locked
      FROM refresh_tokens t JOIN users u USING (user_id)
      WHERE t.token_hash = $1 AND u.deactivated_at_ms IS NULL`,
    values: [tokenHash],
  });
  const row = rows[0];
  return (
    row && {
      userId: row.user_id,
      deviceId: row.device_id,
      unused: row.unused,
      locked: row.locked,
    }
  );
};

/** Deletes what an earlier refresh made and nobody has used. */
export const deleteUnusedTokens = async (
  tx: Tx,
  userId: UserId,
  deviceId: DeviceId,
): Promise<void> => {
  for (const table of ['access_tokens', 'refresh_tokens']) {
    await tx.query({
      text: `DELETE FROM ${table} WHERE user_id = $1 AND device_id = $2 AND unused`,
      values: [userId, deviceId],
    });
  }
};

/**
 * The first use of what a refresh made: every older token of the device goes, and the pair is
 * ordinary from here on. The caller has locked the device and seen that the token is still unused:
 * done twice, this would delete the pair itself.
 */
export const settleRefresh = async (tx: Tx, userId: UserId, deviceId: DeviceId): Promise<void> => {
  for (const table of ['access_tokens', 'refresh_tokens']) {
    await tx.query({
      text: `DELETE FROM ${table} WHERE user_id = $1 AND device_id = $2 AND NOT unused`,
      values: [userId, deviceId],
    });
    await tx.query({
      text: `UPDATE ${table} SET unused = false WHERE user_id = $1 AND device_id = $2`,
      values: [userId, deviceId],
    });
  }
};

/** Of these devices: their access and refresh tokens. */
export const deleteTokensOfDevices = async (
  tx: Tx,
  userId: UserId,
  deviceIds: readonly DeviceId[],
): Promise<void> => {
  for (const table of ['access_tokens', 'refresh_tokens']) {
    await tx.query({
      text: `DELETE FROM ${table} WHERE user_id = $1 AND device_id = ANY($2::text[])`,
      values: [userId, deviceIds],
    });
  }
};

export const insertLoginToken = async (
  tx: Tx,
  tokenHash: string,
  userId: UserId,
  expiresAtMs: number,
): Promise<void> => {
  await tx.query({
    text: 'INSERT INTO login_tokens (token_hash, user_id, expires_at_ms) VALUES ($1, $2, $3)',
    values: [tokenHash, userId, expiresAtMs],
  });
};

/** Takes the token out of use. `undefined` when there is none or it has expired. */
export const takeLoginToken = async (
  tx: Tx,
  tokenHash: string,
  nowMs: number,
): Promise<UserId | undefined> => {
  const { rows } = await tx.query<{ user_id: UserId; expires_at_ms: number }>({
    text: 'DELETE FROM login_tokens WHERE token_hash = $1 RETURNING user_id, expires_at_ms',
    values: [tokenHash],
  });
  const row = rows[0];
  return row !== undefined && row.expires_at_ms > nowMs ? row.user_id : undefined;
};

export const deleteLoginTokensOf = async (tx: Tx, userId: UserId): Promise<void> => {
  await tx.query({ text: 'DELETE FROM login_tokens WHERE user_id = $1', values: [userId] });
};

/** `$1`: now. Uses index login_tokens_expiry. */
export const expiredLoginTokens: Expiry = {
  table: 'login_tokens',
  gone: 'expires_at_ms <= $1',
  order: 'expires_at_ms',
};
