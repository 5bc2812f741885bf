/** The tables `remote_keys` and `remote_key_documents`: what other servers say their keys are. */
import type { JsonObject } from '../../spec/event.ts';
import type { Db, Tx } from './database.ts';
import type { Walk } from './walk.ts';

export interface RemoteKey {
  readonly keyId: string;
  /** Unpadded base64. */
  readonly publicKey: string;
  /** Signatures made later than this do not count. */
  readonly validUntilMs: number;
}

export interface KeyDocument {
  readonly document: JsonObject;
  /** As published; may be in the past or far in the future. */
  readonly validUntilTs: number;
  /** The keys this is the latest document of. */
  readonly keyIds: readonly string[];
}

/** No honest server has more; the oldest give way. */
const MAX_KEYS_PER_SERVER = 256;

/** All known keys of each server; servers of which none is known are absent. */
export const remoteKeysOf = async (
  db: Db,
  serverNames: readonly string[],
): Promise<Map<string, RemoteKey[]>> => {
  const { rows } = await db.query<{
    server_name: string;
    key_id: string;
    public_key: string;
    valid_until_ms: number;
  }>({
    name: 'remote-keys',
    text: `SELECT server_name, key_id, public_key, valid_until_ms FROM remote_keys
      WHERE server_name = ANY($1)`,
    values: [serverNames],
  });
  const keys = new Map<string, RemoteKey[]>();
  for (const row of rows) {
    const key = {
      keyId: row.key_id,
      publicKey: row.public_key,
      validUntilMs: row.valid_until_ms,
    };
    const known = keys.get(row.server_name);
    if (known === undefined) keys.set(row.server_name, [key]);
    else known.push(key);
  }
  return keys;
};

/** The documents a server's keys come from, latest first, each once. */
export const keyDocumentsOf = async (db: Db, serverName: string): Promise<KeyDocument[]> => {
  const { rows } = await db.query<{ document: string; valid_until_ts: number; key_ids: string[] }>({
    text: `SELECT d.document, d.valid_until_ts, array_agg(k.key_id) AS key_ids
      FROM remote_key_documents d JOIN remote_keys k USING (server_name, document_no)
      WHERE server_name = $1
      GROUP BY d.server_name, d.document_no
      ORDER BY d.document_no DESC`,
    values: [serverName],
  });
  return rows.map((row) => ({
    document: JSON.parse(row.document) as JsonObject,
    validUntilTs: row.valid_until_ts,
    keyIds: row.key_ids,
  }));
};

export interface NewKeyDocument {
  readonly serverName: string;
  readonly document: JsonObject;
  readonly validUntilTs: number;
  readonly keys: readonly RemoteKey[];
  readonly fetchedAtMs: number;
  /**
   * Whether the server itself gave the document. Another's copy may be an old one, and replaces
   * only keys whose document says it ends no later.
   */
  readonly direct: boolean;
}

/** Adds a document and its keys; documents that no key refers to any longer go. */
export const storeKeyDocument = async (tx: Tx, added: NewKeyDocument): Promise<void> => {
  const { serverName, keys } = added;
  // Two documents of one server are stored one after the other.
  await tx.query({
    text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 3))',
    values: [serverName],
  });
  const { rows } = await tx.query<{ document_no: number }>({
    text: `INSERT INTO remote_key_documents
        (server_name, document_no, document, valid_until_ts, fetched_at_ms)
      SELECT $1, coalesce(max(document_no), 0) + 1, $2, $3, $4
      FROM remote_key_documents WHERE server_name = $1
      RETURNING document_no`,
    values: [serverName, JSON.stringify(added.document), added.validUntilTs, added.fetchedAtMs],
  });
  await tx.query({
    text: `INSERT INTO remote_keys (server_name, key_id, public_key, valid_until_ms, document_no)
      SELECT $1, k.key_id, k.public_key, k.valid_until_ms, $2
      FROM unnest($3::text[], $4::text[], $5::bigint[]) AS k (key_id, public_key, valid_until_ms)
      ON CONFLICT (server_name, key_id) DO UPDATE
      SET public_key = excluded.public_key, valid_until_ms = excluded.valid_until_ms,
        document_no = excluded.document_no
      WHERE $6 OR $7 >= (
        SELECT d.valid_until_ts FROM remote_key_documents d
        WHERE d.server_name = $1 AND d.document_no = remote_keys.document_no
      )`,
    values: [
      serverName,
      rows[0]?.document_no,
      keys.map(({ keyId }) => keyId),
      keys.map(({ publicKey }) => publicKey),
      keys.map(({ validUntilMs }) => validUntilMs),
      added.direct,
      added.validUntilTs,
    ],
  });
  await tx.query({
    text: `DELETE FROM remote_keys WHERE server_name = $1 AND key_id IN (
        SELECT key_id FROM remote_keys WHERE server_name = $1
        ORDER BY document_no DESC, key_id OFFSET ${MAX_KEYS_PER_SERVER}
      )`,
    values: [serverName],
  });
  await tx.query({
    text: `DELETE FROM remote_key_documents d WHERE server_name = $1 AND NOT EXISTS (
        SELECT FROM remote_keys k
        WHERE k.server_name = d.server_name AND k.document_no = d.document_no
      )`,
    values: [serverName],
  });
};

/**
 * Of servers that are in none of the rooms here, and of which nothing was fetched since `beforeMs`: whoever has
 * a name for every key makes rows as fast as it likes.
 */
export const unmetServerKeys: Walk = {
  table: 'remote_keys',
  key: [
    ['server_name', 'text'],
    ['key_id', 'text'],
  ],
  gone: `NOT EXISTS (SELECT FROM server_rooms s WHERE s.server = t.server_name)
    AND NOT EXISTS (SELECT FROM remote_key_documents d
      WHERE d.server_name = t.server_name AND d.fetched_at_ms >= :beforeMs)`,
};

/** That no key refers to. */
export const unusedKeyDocuments: Walk = {
  table: 'remote_key_documents',
  key: [
    ['server_name', 'text'],
    ['document_no', 'bigint'],
  ],
  gone: `NOT EXISTS (SELECT FROM remote_keys k
    WHERE k.server_name = t.server_name AND k.document_no = t.document_no)`,
};
