/** Where the processes of one server meet: who leads, and the secret they know each other by. */
import type { Socket } from 'node:net';
import type { Address, Member } from '../cluster/members.ts';
import type { Random } from '../random.ts';
import type { Database, Db, Tx } from './database.ts';
import { factValue, stateFact } from './users.ts';

export interface Leader extends Member {
  /** Rises with every leader. */
  readonly term: number;
}

const keysFact = 'signing_keys';
const secretFact = 'cluster_secret';
const secretBytes = 32;

/** The secret of this server's processes, made by the first that asks. */
export const clusterSecret = (database: Database, random: Random): Promise<Buffer> =>
  database.transaction(async (tx) => {
    await stateFact(tx, secretFact, random.bytes(secretBytes).toString('base64'));
    return Buffer.from((await factValue(tx, secretFact)) as string, 'base64');
  });

/**
 * The address from which this process reaches the database: others that use it are likely to reach
 * this process there. Nothing where the database is on this machine, behind a Unix socket.
 */
export const addressTowardsDatabase = async (database: Database): Promise<string | undefined> => {
  const client = await database.pool.connect();
  try {
    const { connection } = client as unknown as { connection: { stream: Socket } };
    return connection.stream.localAddress;
  } finally {
    client.release();
  }
};

/** Who led last; it may be gone. */
export const readLeader = async (db: Db): Promise<Leader | undefined> => {
  const { rows } = await db.query<{ term: number; id: string; addresses: Address[] }>({
    text: 'SELECT term, member_id AS id, addresses FROM cluster_leader',
  });
  return rows[0];
};

/** To be called with the session that holds the log's lock. */
export const writeLeader = async (db: Db, { term, id, addresses }: Leader): Promise<void> => {
  await db.query({
    text: `INSERT INTO cluster_leader (term, member_id, addresses) VALUES ($1, $2, $3)
      ON CONFLICT (single) DO UPDATE SET term = excluded.term, member_id = excluded.member_id,
        addresses = excluded.addresses`,
    values: [term, id, JSON.stringify(addresses)],
  });
};

/** What the signing key files of all machines say; undefined before the first has said it. */
export const sharedKeyText = async (db: Db): Promise<string | undefined> =>
  (await factValue(db, keysFact)) || undefined;

/** The same, and nobody else changes it before the transaction ends. */
export const lockSharedKeyText = async (tx: Tx): Promise<string | undefined> => {
  await stateFact(tx, keysFact, '');
  const { rows } = await tx.query<{ value: string }>({
    text: 'SELECT value FROM server_facts WHERE fact = $1 FOR UPDATE',
    values: [keysFact],
  });
  return rows[0]?.value || undefined;
};

export const writeSharedKeyText = async (tx: Tx, text: string): Promise<void> => {
  await tx.query({
    text: 'UPDATE server_facts SET value = $2 WHERE fact = $1',
    values: [keysFact, text],
  });
};
