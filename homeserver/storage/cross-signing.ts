/** The tables `cross_signing_keys` and `key_signatures`. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Statement, Tx } from './database.ts';

export const crossSigningUsages = ['master', 'self_signing', 'user_signing'] as const;
export type CrossSigningUsage = (typeof crossSigningUsages)[number];

export interface CrossSigningKeyRow {
  readonly userId: UserId;
  readonly usage: CrossSigningUsage;
  /** Unpadded base64. */
  readonly publicKey: string;
  /** JSON. */
  readonly key: string;
}

export const crossSigningKeysOf = async (
  db: Db,
  userIds: readonly UserId[],
): Promise<CrossSigningKeyRow[]> => {
  const { rows } = await db.query<{
    user_id: UserId;
    usage: CrossSigningUsage;
    public_key: string;
    key: string;
  }>({
    name: 'cross-signing-keys-of',
    text: `SELECT user_id, usage, public_key, key FROM cross_signing_keys
      WHERE user_id = ANY($1::text[])`,
    values: [userIds],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    usage: row.usage,
    publicKey: row.public_key,
    key: row.key,
  }));
};

/** Signatures on a key that is replaced are dropped with it. */
/** A replaced key takes its signatures with it. */
export const crossSigningKeyUpserts = (keys: readonly CrossSigningKeyRow[]): Statement[] =>
  keys.flatMap(({ userId, usage, publicKey, key }) => [
    {
      name: 'drop-signatures-of-replaced',
      text: `DELETE FROM key_signatures s USING cross_signing_keys k
        WHERE k.user_id = $1 AND k.usage = $2 AND k.public_key <> $3
          AND s.user_id = k.user_id AND s.target = k.public_key`,
      values: [userId, usage, publicKey],
    },
    {
      name: 'put-cross-signing-key',
      text: `INSERT INTO cross_signing_keys (user_id, usage, public_key, key)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id, usage) DO UPDATE
          SET public_key = EXCLUDED.public_key, key = EXCLUDED.key`,
      values: [userId, usage, publicKey, key],
    },
  ]);

export const deleteCrossSigningKeys = async (
  tx: Tx,
  userId: UserId,
  usages: readonly CrossSigningUsage[],
): Promise<void> => {
  await tx.query({
    text: 'DELETE FROM cross_signing_keys WHERE user_id = $1 AND usage = ANY($2::text[])',
    values: [userId, usages],
  });
};

export interface KeySignature {
  /** Whose key is signed, and which: a device id, or the public part of a master key. */
  readonly userId: UserId;
  readonly target: string;
  readonly signerId: UserId;
  readonly signingKeyId: string;
  readonly signature: string;
}

interface SignatureRecord {
  user_id: UserId;
  target: string;
  signer_id: UserId;
  signing_key_id: string;
  signature: string;
}

/** Signatures on these users' keys that are theirs, or made by `viewer`. */
export const visibleSignatures = async (
  db: Db,
  userIds: readonly UserId[],
  viewer: UserId | undefined,
): Promise<KeySignature[]> => {
  const { rows } = await db.query<SignatureRecord>({
    name: 'visible-signatures',
    text: `SELECT user_id, target, signer_id, signing_key_id, signature FROM key_signatures
      WHERE user_id = ANY($1::text[]) AND (signer_id = user_id OR signer_id = $2)`,
    values: [userIds, viewer ?? null],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    target: row.target,
    signerId: row.signer_id,
    signingKeyId: row.signing_key_id,
    signature: row.signature,
  }));
};

export const signatureUpserts = (signatures: readonly KeySignature[]): Statement[] =>
  signatures.map(({ userId, target, signerId, signingKeyId, signature }) => ({
    name: 'put-key-signature',
    text: `INSERT INTO key_signatures (user_id, target, signer_id, signing_key_id, signature)
      VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (user_id, target, signer_id, signing_key_id)
        DO UPDATE SET signature = EXCLUDED.signature`,
    values: [userId, target, signerId, signingKeyId, signature],
  }));
