/** Accounts of this server: the table `users`, and facts about the server as a whole. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export interface User {
  readonly userId: UserId;
  /** `undefined` for an account that nobody can log in to with a password. */
  readonly passwordHash: string | undefined;
  readonly isAdmin: boolean;
  readonly isGuest: boolean;
  readonly appserviceId: string | undefined;
  readonly createdAtMs: number;
  readonly deactivatedAtMs: number | undefined;
  readonly erased: boolean;
  readonly locked: boolean;
  readonly suspended: boolean;
}

interface UserRow {
  user_id: UserId;
  password_hash: string | null;
  is_admin: boolean;
  is_guest: boolean;
  appservice_id: string | null;
  created_at_ms: number;
  deactivated_at_ms: number | null;
  erased: boolean;
  locked: boolean;
  suspended: boolean;
}

const COLUMNS = `user_id, password_hash, is_admin, is_guest, appservice_id, created_at_ms,
  deactivated_at_ms, erased, locked, suspended`;

const toUser = (row: UserRow): User => ({
  userId: row.user_id,
  passwordHash: row.password_hash ?? undefined,
  isAdmin: row.is_admin,
  isGuest: row.is_guest,
  appserviceId: row.appservice_id ?? undefined,
  createdAtMs: row.created_at_ms,
  deactivatedAtMs: row.deactivated_at_ms ?? undefined,
  erased: row.erased,
  locked: row.locked,
  suspended: row.suspended,
});

export const userById = async (db: Db, userId: UserId): Promise<User | undefined> => {
  const { rows } = await db.query<UserRow>({
    name: 'user-by-id',
    text: `SELECT ${COLUMNS} FROM users WHERE user_id = $1`,
    values: [userId],
  });
  return rows[0] && toUser(rows[0]);
};

/** As {@link userById}, and nobody else changes the row until the transaction ends. */
export const lockUser = async (tx: Tx, userId: UserId): Promise<User | undefined> => {
  const { rows } = await tx.query<UserRow>({
    name: 'user-lock',
    text: `SELECT ${COLUMNS} FROM users WHERE user_id = $1 FOR UPDATE`,
    values: [userId],
  });
  return rows[0] && toUser(rows[0]);
};

/** Which of these have an account here, deactivated ones included. */
export const existingUsers = async (db: Db, userIds: readonly UserId[]): Promise<Set<UserId>> => {
  const { rows } = await db.query<{ user_id: UserId }>({
    text: 'SELECT user_id FROM users WHERE user_id = ANY($1::text[])',
    values: [userIds],
  });
  return new Set(rows.map((row) => row.user_id));
};

export const countUsers = async (db: Db): Promise<number> => {
  const { rows } = await db.query<{ count: number }>({
    text: 'SELECT count(*) AS count FROM users',
  });
  return rows[0]?.count ?? 0;
};

export interface NewUser {
  readonly userId: UserId;
  readonly passwordHash: string | undefined;
  readonly isAdmin: boolean;
  readonly isGuest: boolean;
  readonly appserviceId: string | undefined;
  readonly createdAtMs: number;
}

/** `false` when the name is taken. */
export const insertUser = async (tx: Tx, user: NewUser): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `INSERT INTO users
        (user_id, password_hash, is_admin, is_guest, appservice_id, created_at_ms)
      VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_id) DO NOTHING`,
    values: [
      user.userId,
      user.passwordHash ?? null,
      user.isAdmin,
      user.isGuest,
      user.appserviceId ?? null,
      user.createdAtMs,
    ],
  });
  return rowCount === 1;
};

/** Makes a guest's account a person's. `false` when it is no guest's. */
export const upgradeGuest = async (
  tx: Tx,
  { userId, passwordHash, isAdmin }: Pick<NewUser, 'userId' | 'passwordHash' | 'isAdmin'>,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `UPDATE users SET is_guest = false, password_hash = $2, is_admin = $3
      WHERE user_id = $1 AND is_guest AND deactivated_at_ms IS NULL`,
    values: [userId, passwordHash ?? null, isAdmin],
  });
  return rowCount === 1;
};

/** `false` when there is no such account. */
export const setPasswordHash = async (
  tx: Tx,
  userId: UserId,
  passwordHash: string,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'UPDATE users SET password_hash = $2 WHERE user_id = $1 AND deactivated_at_ms IS NULL',
    values: [userId, passwordHash],
  });
  return rowCount === 1;
};

/** `false` when there is no such account or it is deactivated already. */
export const markDeactivated = async (
  tx: Tx,
  userId: UserId,
  erase: boolean,
  nowMs: number,
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `UPDATE users SET deactivated_at_ms = $3, erased = $2, password_hash = NULL,
        is_admin = false, departed = false,
        erased_pos = CASE WHEN $2 THEN (SELECT last_value FROM stream_positions) END
      WHERE user_id = $1 AND deactivated_at_ms IS NULL`,
    values: [userId, erase, nowMs],
  });
  return rowCount === 1;
};

export const markDeparted = async (tx: Tx, userId: UserId): Promise<void> => {
  await tx.query({
    text: 'UPDATE users SET departed = true WHERE user_id = $1',
    values: [userId],
  });
};

/** Deactivated accounts that may still be in rooms. Uses index users_departing. */
export const departingUsers = async (
  db: Db,
  limit: number,
): Promise<{ userId: UserId; erased: boolean }[]> => {
  const { rows } = await db.query<{ user_id: UserId; erased: boolean }>({
    text: 'SELECT user_id, erased FROM users WHERE NOT departed ORDER BY user_id LIMIT $1',
    values: [limit],
  });
  return rows.map((row) => ({ userId: row.user_id, erased: row.erased }));
};

/** `undefined` leaves a flag as it is. `false` when there is no such account. */
export const setUserFlags = async (
  tx: Tx,
  userId: UserId,
  flags: { isAdmin?: boolean; locked?: boolean; suspended?: boolean },
): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `UPDATE users SET is_admin = coalesce($2, is_admin), locked = coalesce($3, locked),
        suspended = coalesce($4, suspended) WHERE user_id = $1`,
    values: [userId, flags.isAdmin ?? null, flags.locked ?? null, flags.suspended ?? null],
  });
  return rowCount === 1;
};

/** An account as lists show it. */
export interface ListedUser extends User {
  /** Of any of its devices. */
  readonly lastSeenMs: number | undefined;
}

/** Accounts by their ids, from after `after`; with `all` also deactivated ones and guests. */
export const listUsers = async (
  db: Db,
  { after, limit, all }: { after: string | undefined; limit: number; all: boolean },
): Promise<ListedUser[]> => {
  const { rows } = await db.query<UserRow & { last_seen_ms: number | null }>({
    text: `SELECT ${COLUMNS}, (
        SELECT max(last_seen_ms) FROM devices WHERE devices.user_id = users.user_id
      ) AS last_seen_ms
      FROM users
      WHERE user_id > $1 AND ($3 OR (deactivated_at_ms IS NULL AND NOT is_guest))
      ORDER BY user_id LIMIT $2`,
    values: [after ?? '', limit, all],
  });
  return rows.map((row) => ({ ...toUser(row), lastSeenMs: row.last_seen_ms ?? undefined }));
};

/** States a fact; `false` when it has been stated before. Waits for whoever is stating it now. */
export const stateFact = async (tx: Tx, fact: string, value: string): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'INSERT INTO server_facts (fact, value) VALUES ($1, $2) ON CONFLICT (fact) DO NOTHING',
    values: [fact, value],
  });
  return rowCount === 1;
};

export const factValue = async (db: Db, fact: string): Promise<string | undefined> => {
  const { rows } = await db.query<{ value: string }>({
    text: 'SELECT value FROM server_facts WHERE fact = $1',
    values: [fact],
  });
  return rows[0]?.value;
};
