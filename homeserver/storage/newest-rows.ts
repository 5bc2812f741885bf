/**
 * The newest rows of the streams, for the memories of a process that starts: everything after a
 * position, but no more rows and bytes than are worth having.
 */
import type { UserId } from '../../spec/identifiers.ts';
import type { TailRow } from '../streams/log-tail.ts';
import { type AccountDataRecord, type AccountDataRow, accountDataFrom } from './account-data.ts';
import type { Db, Statement } from './database.ts';
import { type ReceiptRecord, type ReceiptRow, receiptColumns, receiptFrom } from './receipts.ts';

/** Newest first. All there are after `completeAfter`. */
export interface NewestRows<Key, Row> {
  readonly completeAfter: number;
  readonly rows: readonly TailRow<Key, Row>[];
}

/** Rows of each kind at most. */
const maxRows = 20_000;
/** Of users whose rooms have to be read as well. */
const maxUsers = 2_000;

/**
 * The statement gives rows after `after` with their `position`, newest first. When it gives `limit` of
 * them, or says that it left some out, those at the lowest position may not be all.
 */
const newest = async <Record extends { readonly position: number }, Key, Row>(
  db: Db,
  after: number,
  limit: number,
  statement: Statement,
  toRow: (record: Record) => { key: Key; row: Row },
): Promise<NewestRows<Key, Row>> => {
  const { rows: records } = await db.query<Record & { is_cut?: boolean }>(statement);
  const last = records.at(-1);
  const isCut = records.length === limit || last?.is_cut === true;
  const completeAfter = isCut && last !== undefined ? last.position : after;
  const rows: TailRow<Key, Row>[] = [];
  for (const record of records) {
    const { position } = record;
    if (position > completeAfter) rows.push({ position, ...toRow(record) });
  }
  return { completeAfter, rows };
};

/** Rooms with live events; a room as often as it has some. Uses index events_stream. */
export const newestChangedRooms = (db: Db, after: number): Promise<NewestRows<number, undefined>> =>
  newest(
    db,
    after,
    maxRows,
    {
      text: `SELECT room_nid, stream_pos AS position FROM events
        WHERE stream_pos > $1 AND backfill_pos = 0 ORDER BY stream_pos DESC LIMIT $2`,
      values: [after, maxRows],
    },
    ({ room_nid: key }: { room_nid: number; position: number }) => ({ key, row: undefined }),
  );

/** Uses index receipts_positions. */
export const newestReceiptRows = (db: Db, after: number): Promise<NewestRows<number, ReceiptRow>> =>
  newest(
    db,
    after,
    maxRows,
    {
      text: `SELECT ${receiptColumns}, stream_pos AS position FROM receipts
        WHERE stream_pos > $1 ORDER BY stream_pos DESC LIMIT $2`,
      values: [after, maxRows],
    },
    (record: ReceiptRecord & { position: number }) => ({
      key: record.room_nid,
      row: receiptFrom(record),
    }),
  );

/** Their contents have `maxBytes` together, and those of one more. Uses index account_data_positions. */
export const newestAccountData = (
  db: Db,
  after: number,
  maxBytes: number,
): Promise<NewestRows<UserId, AccountDataRow>> =>
  newest(
    db,
    after,
    maxRows,
    {
      text: `SELECT user_id, room_id, type, content, stream_pos, stream_pos AS position,
          total > $3 AS is_cut
        FROM (
          SELECT *, sum(octet_length(content)) OVER (ORDER BY stream_pos DESC) AS total
          FROM (SELECT * FROM account_data WHERE stream_pos > $1
            ORDER BY stream_pos DESC LIMIT $2) AS newest
        ) AS weighed
        WHERE total - octet_length(content) <= $3 ORDER BY stream_pos DESC`,
      values: [after, maxRows, maxBytes],
    },
    (record: AccountDataRecord & { position: number }) => ({
      key: record.user_id,
      row: accountDataFrom(record),
    }),
  );

/** Whose keys have changed. Uses index device_list_users_stream. */
export const newestDeviceChanges = (
  db: Db,
  after: number,
): Promise<NewestRows<UserId, undefined>> =>
  newest(
    db,
    after,
    maxUsers,
    {
      text: `SELECT user_id, stream_pos AS position FROM device_list_users
        WHERE stream_pos > $1 ORDER BY stream_pos DESC LIMIT $2`,
      values: [after, maxUsers],
    },
    ({ user_id: key }: { user_id: UserId; position: number }) => ({ key, row: undefined }),
  );

/** Who has come to a room or gone from it. Uses index state_changes_stream. */
export const newestMoves = (db: Db, after: number): Promise<NewestRows<number, UserId>> =>
  newest(
    db,
    after,
    maxRows,
    {
      text: `SELECT c.room_nid, c.state_key AS user_id, c.stream_pos AS position
        FROM state_changes c
        JOIN user_rooms u ON u.user_id = c.state_key AND u.room_nid = c.room_nid
        WHERE c.stream_pos > $1 AND c.type = 'm.room.member' AND u.membership_pos > $1
        ORDER BY c.stream_pos DESC LIMIT $2`,
      values: [after, maxRows],
    },
    (record: { room_nid: number; user_id: UserId; position: number }) => ({
      key: record.room_nid,
      row: record.user_id,
    }),
  );

/**
 * Every device for which messages wait, with the position of the newest: not only those after some
 * position. Walks from one device to the next in the primary key, however many messages they have.
 */
export const devicesWithMessages = (db: Db): Promise<NewestRows<string, undefined>> =>
  newest(
    db,
    0,
    maxRows,
    {
      text: `WITH RECURSIVE devices AS (
          (SELECT user_id, device_id FROM to_device_messages ORDER BY user_id, device_id LIMIT 1)
          UNION ALL
          SELECT next.* FROM devices d, LATERAL (
            SELECT m.user_id, m.device_id FROM to_device_messages m
            WHERE (m.user_id, m.device_id) > (d.user_id, d.device_id)
            ORDER BY m.user_id, m.device_id LIMIT 1) AS next
        )
        SELECT user_id, device_id, (
          SELECT max(m.stream_pos) FROM to_device_messages m
          WHERE m.user_id = d.user_id AND m.device_id = d.device_id) AS position
        FROM devices d ORDER BY position DESC LIMIT $1`,
      values: [maxRows],
    },
    (record: { user_id: UserId; device_id: string; position: number }) => ({
      key: `${record.user_id} ${record.device_id}`,
      row: undefined,
    }),
  );

/** The position of the newest EDU that waits for other servers; 0 when there is none. */
export const newestOutboundEdu = async (db: Db): Promise<number> => {
  const { rows } = await db.query<{ position: number | null }>({
    text: 'SELECT max(stream_pos) AS position FROM outbound_edus',
  });
  return rows[0]?.position ?? 0;
};
