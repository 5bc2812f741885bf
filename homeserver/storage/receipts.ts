/** Receipts: their log section, and reading them. */
import type { EventId, UserId } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';
import type { Db } from './database.ts';
import { byWish, type RoomsOfUser, wishColumns } from './rooms-of-user.ts';
import type { Walk } from './walk.ts';

export interface ReceiptRow {
  readonly roomNid: number;
  readonly userId: UserId;
  /** `m.read` or `m.read.private`; the latter is for its user's eyes only. */
  readonly type: string;
  /** '' for a receipt that is not about a thread. */
  readonly threadId: string;
  readonly eventId: EventId;
  /** Place of the event in the timeline, or null when the event is not here. */
  readonly eventPos: number | null;
  readonly receivedAtMs: number;
  /** Filled in by the log; stays 0 where the receipt in place is for a later event. */
  streamPos: number;
}

const keyOf = ({ roomNid, userId, type, threadId }: ReceiptRow): string =>
  JSON.stringify([roomNid, userId, type, threadId]);

const isBehind = (row: ReceiptRow, other: ReceiptRow): boolean =>
  row.eventPos !== null && other.eventPos !== null && row.eventPos < other.eventPos;

/** A receipt only moves forward. */
export const receiptsSection: LogSection<ReceiptRow> = {
  name: 'receipts',
  ...filledIn<ReceiptRow>('streamPos'),
  needsTransaction: () => false,
  async write(tx, rows) {
    const latest = new Map<string, ReceiptRow>();
    for (const row of rows) {
      const known = latest.get(keyOf(row));
      if (known === undefined || !isBehind(row, known)) latest.set(keyOf(row), row);
    }
    const written = [...latest.values()];
    const { rows: stored } = await tx.query<ReceiptRecord>({
      name: 'log-receipts',
      text: `INSERT INTO receipts AS kept (room_nid, user_id, receipt_type, thread_id, event_id,
          event_pos, received_at_ms, stream_pos)
        SELECT r.*, nextval('stream_positions')
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
          $7::bigint[]) AS r
        ON CONFLICT (room_nid, user_id, receipt_type, thread_id) DO UPDATE
          SET event_id = EXCLUDED.event_id, event_pos = EXCLUDED.event_pos,
            received_at_ms = EXCLUDED.received_at_ms, stream_pos = EXCLUDED.stream_pos
          WHERE EXCLUDED.event_id <> kept.event_id
            AND (EXCLUDED.event_pos IS NULL OR kept.event_pos IS NULL
              OR EXCLUDED.event_pos >= kept.event_pos)
        RETURNING ${receiptColumns}`,
      values: [
        written.map((row) => row.roomNid),
        written.map((row) => row.userId),
        written.map((row) => row.type),
        written.map((row) => row.threadId),
        written.map((row) => row.eventId),
        written.map((row) => row.eventPos),
        written.map((row) => row.receivedAtMs),
      ],
    });
    let highest = 0;
    for (const record of stored) {
      const { streamPos, ...row } = receiptFrom(record);
      (latest.get(keyOf({ ...row, streamPos })) as ReceiptRow).streamPos = streamPos;
      highest = Math.max(highest, streamPos);
    }
    return highest;
  },
};

export interface ReceiptRecord {
  room_nid: number;
  user_id: UserId;
  receipt_type: string;
  thread_id: string;
  event_id: EventId;
  event_pos: number | null;
  received_at_ms: number;
  stream_pos: number;
}

export const receiptColumns =
  'room_nid, user_id, receipt_type, thread_id, event_id, event_pos, received_at_ms, stream_pos';

export const receiptFrom = (record: ReceiptRecord): ReceiptRow => ({
  roomNid: record.room_nid,
  userId: record.user_id,
  type: record.receipt_type,
  threadId: record.thread_id,
  eventId: record.event_id,
  eventPos: record.event_pos,
  receivedAtMs: record.received_at_ms,
  streamPos: record.stream_pos,
});

/** Receipts of these rooms with `after < position <= upTo`, oldest first. Index receipts_stream. */
export const receiptsBetween = async (
  db: Db,
  roomNids: readonly number[],
  after: number,
  upTo: number,
): Promise<ReceiptRow[]> => {
  const { rows } = await db.query<ReceiptRecord>({
    name: 'receipts-between',
    text: `SELECT ${receiptColumns} FROM receipts
      WHERE room_nid = ANY($1::bigint[]) AND stream_pos > $2 AND stream_pos <= $3
      ORDER BY stream_pos`,
    values: [roomNids, after, upTo],
  });
  return rows.map(receiptFrom);
};

/** The newest receipts of each room, at most `limitPerRoom`, oldest first. */
export const newestReceipts = async (
  db: Db,
  roomNids: readonly number[],
  limitPerRoom: number,
): Promise<ReceiptRow[]> => {
  const { rows } = await db.query<ReceiptRecord>({
    name: 'newest-receipts',
    text: `SELECT r.* FROM unnest($1::bigint[]) AS wanted (nid)
      CROSS JOIN LATERAL (
        SELECT ${receiptColumns} FROM receipts WHERE room_nid = wanted.nid
        ORDER BY stream_pos DESC LIMIT $2
      ) r ORDER BY r.stream_pos`,
    values: [roomNids, limitPerRoom],
  });
  return rows.map(receiptFrom);
};

/** Users' own receipts in these rooms, by the wish. */
export const receiptsOfUsers = async <Wish extends RoomsOfUser>(
  db: Db,
  wishes: readonly Wish[],
): Promise<Map<Wish, ReceiptRow[]>> => {
  const { rows } = await db.query<ReceiptRecord & { place: number }>({
    name: 'receipts-of-users',
    text: `SELECT w.place, ${receiptColumns}
      FROM unnest($1::integer[], $2::text[], $3::bigint[]) AS w (place, user_id, room_nid)
      JOIN receipts USING (room_nid, user_id)`,
    values: wishColumns(wishes),
  });
  return byWish(wishes, rows, receiptFrom);
};

/** Of those who have left up to `beforePos`, and for events that had not come by then: received before `beforeMs`. */
export const idleReceipts: Walk = {
  table: 'receipts',
  key: [
    ['room_nid', 'bigint'],
    ['user_id', 'text'],
    ['receipt_type', 'text'],
    ['thread_id', 'text'],
  ],
  gone: `t.event_pos IS NULL AND t.received_at_ms < :beforeMs OR NOT EXISTS (SELECT FROM user_rooms u
    WHERE u.user_id = t.user_id AND u.room_nid = t.room_nid
      AND (u.membership = 'join' OR u.membership_pos > :beforePos))`,
};
