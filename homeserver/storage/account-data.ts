/** Account data: its log section, and reading it. Room id '' holds what belongs to no room. */
import type { UserId } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';
import type { Db } from './database.ts';
import type { Walk } from './walk.ts';

export interface AccountDataRow {
  readonly userId: UserId;
  readonly roomId: string;
  readonly type: string;
  /** A JSON object. */
  readonly content: string;
  /** Filled in by the log. */
  streamPos: number;
}

const keyOf = ({ userId, roomId, type }: AccountDataRow): string =>
  JSON.stringify([userId, roomId, type]);

/** Where a batch writes the same entry twice, the last one counts. */
export const accountDataSection: LogSection<AccountDataRow> = {
  name: 'account data',
  ...filledIn<AccountDataRow>('streamPos'),
  needsTransaction: () => false,
  async write(tx, rows) {
    const latest = new Map(rows.map((row) => [keyOf(row), row]));
    const written = [...latest.values()];
    const { rows: stored } = await tx.query<{
      user_id: UserId;
      room_id: string;
      type: string;
      stream_pos: number;
    }>({
      name: 'log-account-data',
      text: `INSERT INTO account_data (user_id, room_id, type, content, stream_pos)
        SELECT user_id, room_id, type, content, nextval('stream_positions')
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
          AS d (user_id, room_id, type, content)
        ON CONFLICT (user_id, room_id, type) DO UPDATE
          SET content = EXCLUDED.content, stream_pos = EXCLUDED.stream_pos
        RETURNING user_id, room_id, type, stream_pos`,
      values: [
        written.map((row) => row.userId),
        written.map((row) => row.roomId),
        written.map((row) => row.type),
        written.map((row) => row.content),
      ],
    });
    const positions = new Map(
      stored.map((row) => [JSON.stringify([row.user_id, row.room_id, row.type]), row.stream_pos]),
    );
    for (const row of rows) row.streamPos = positions.get(keyOf(row)) as number;
    return Math.max(...positions.values());
  },
};

export interface AccountDataRecord {
  user_id: UserId;
  room_id: string;
  type: string;
  content: string;
  stream_pos: number;
}

export const accountDataFrom = (record: AccountDataRecord): AccountDataRow => ({
  userId: record.user_id,
  roomId: record.room_id,
  type: record.type,
  content: record.content,
  streamPos: record.stream_pos,
});

/** How much a user has: entries, and the bytes of their names and contents. */
export const accountDataUse = async (
  db: Db,
  userId: UserId,
): Promise<{ readonly entries: number; readonly bytes: number }> => {
  const { rows } = await db.query<{ entries: number; bytes: number }>({
    name: 'account-data-use',
    text: `SELECT count(*) AS entries, coalesce(sum(octet_length(room_id) + octet_length(type)
        + octet_length(content)), 0)::bigint AS bytes
      FROM account_data WHERE user_id = $1`,
    values: [userId],
  });
  return rows[0] as { entries: number; bytes: number };
};

/** All of a user's account data, oldest change first. */
export const accountDataOf = async (db: Db, userId: UserId): Promise<AccountDataRow[]> => {
  const { rows } = await db.query<AccountDataRecord>({
    name: 'account-data-of',
    text: `SELECT user_id, room_id, type, content, stream_pos FROM account_data
      WHERE user_id = $1 ORDER BY stream_pos`,
    values: [userId],
  });
  return rows.map(accountDataFrom);
};

/** Entries with `after < position <= upTo`, oldest first. Uses index account_data_stream. */
export const accountDataBetween = async (
  db: Db,
  userId: UserId,
  after: number,
  upTo: number,
): Promise<AccountDataRow[]> => {
  const { rows } = await db.query<AccountDataRecord>({
    name: 'account-data-between',
    text: `SELECT user_id, room_id, type, content, stream_pos FROM account_data
      WHERE user_id = $1 AND stream_pos > $2 AND stream_pos <= $3 ORDER BY stream_pos`,
    values: [userId, after, upTo],
  });
  return rows.map(accountDataFrom);
};

export const accountDataEntry = async (
  db: Db,
  userId: UserId,
  roomId: string,
  type: string,
): Promise<AccountDataRow | undefined> => {
  const { rows } = await db.query<AccountDataRecord>({
    name: 'account-data-entry',
    text: `SELECT user_id, room_id, type, content, stream_pos FROM account_data
      WHERE user_id = $1 AND room_id = $2 AND type = $3`,
    values: [userId, roomId, type],
  });
  return rows[0] && accountDataFrom(rows[0]);
};

/** The same entry of several users. */
export const accountDataEntries = async (
  db: Db,
  userIds: readonly UserId[],
  roomId: string,
  type: string,
): Promise<Map<UserId, AccountDataRow>> => {
  const { rows } = await db.query<AccountDataRecord>({
    name: 'account-data-entries',
    text: `SELECT user_id, room_id, type, content, stream_pos FROM account_data
      WHERE user_id = ANY($1::text[]) AND room_id = $2 AND type = $3`,
    values: [userIds, roomId, type],
  });
  return new Map(rows.map((record) => [record.user_id, accountDataFrom(record)]));
};

export const deleteAccountDataOf = async (db: Db, userId: UserId): Promise<void> => {
  await db.query({ text: `DELETE FROM account_data WHERE user_id = $1`, values: [userId] });
};

/** Of rooms that their users have forgotten, after leaving them up to `beforePos`. */
export const forgottenAccountData: Walk = {
  table: 'account_data',
  key: [
    ['user_id', 'text'],
    ['room_id', 'text'],
    ['type', 'text'],
  ],
  gone: `t.room_id <> '' AND EXISTS (
    SELECT FROM rooms r JOIN user_rooms u USING (room_nid) WHERE r.room_id = t.room_id
      AND u.user_id = t.user_id AND u.forgotten AND u.membership_pos <= :beforePos)`,
};
