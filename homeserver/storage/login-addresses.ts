/** The table `login_addresses`: from where people have proved their passwords. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';
import type { Walk } from './walk.ts';

const DAY_MS = 86_400_000;
/** After this an address is one like any other again. */
export const LOGIN_ADDRESS_LIFETIME_MS = 90 * DAY_MS;
const MAX_ADDRESSES = 20;

/** Whether it was noted within {@link LOGIN_ADDRESS_LIFETIME_MS}. */
export const isLoginAddress = async (
  db: Db,
  userId: string,
  address: string,
  nowMs: number,
): Promise<boolean> => {
  const { rowCount } = await db.query({
    text: `SELECT 1 FROM login_addresses
      WHERE user_id = $1 AND address = $2 AND last_used_ms > $3`,
    values: [userId, address, nowMs - LOGIN_ADDRESS_LIFETIME_MS],
  });
  return rowCount === 1;
};

/** Exact to a day. A user keeps the {@link MAX_ADDRESSES} used last, none past its lifetime. */
export const noteLoginAddress = async (
  tx: Tx,
  userId: UserId,
  address: string,
  nowMs: number,
): Promise<void> => {
  const { rowCount } = await tx.query({
    text: `INSERT INTO login_addresses AS known (user_id, address, last_used_ms)
      VALUES ($1, $2, $3)
      ON CONFLICT (user_id, address) DO UPDATE SET last_used_ms = excluded.last_used_ms
        WHERE known.last_used_ms < excluded.last_used_ms - ${DAY_MS}`,
    values: [userId, address, nowMs],
  });
  if (rowCount === 0) return;
  await tx.query({
    text: `DELETE FROM login_addresses WHERE user_id = $1 AND (last_used_ms <= $2 OR address IN (
        SELECT address FROM login_addresses WHERE user_id = $1
        ORDER BY last_used_ms DESC, address OFFSET ${MAX_ADDRESSES}))`,
    values: [userId, nowMs - LOGIN_ADDRESS_LIFETIME_MS],
  });
};

export const deleteLoginAddressesOf = async (tx: Tx, userId: UserId): Promise<void> => {
  await tx.query({ text: 'DELETE FROM login_addresses WHERE user_id = $1', values: [userId] });
};

/** `beforeMs`: last used up to then. */
export const oldLoginAddresses: Walk = {
  table: 'login_addresses',
  key: [
    ['user_id', 'text'],
    ['address', 'text'],
  ],
  gone: 't.last_used_ms <= :beforeMs',
};
