/**
 * The transaction ids of events: whose device made which event in which request. The unique index
 * events_transactions lets no two events have the same.
 */
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';

/** A request that sends an event, as its path names it. */
export interface EventTransaction {
  readonly roomId: RoomId;
  readonly type: string;
  /** The event that a redaction's path names. */
  readonly target: EventId | undefined;
  readonly txnId: string;
}

export interface StoredTransaction extends EventTransaction {
  readonly eventId: EventId;
}

interface TransactionRow {
  readonly room_id: RoomId;
  readonly type: string;
  readonly txn_target: EventId | null;
  readonly txn_id: string;
  readonly event_id: EventId;
}

/** All transactions of a device, or undefined where there are more than `limit`. */
export const deviceTransactions = async (
  db: Db,
  sender: string,
  device: string,
  limit: number,
): Promise<StoredTransaction[] | undefined> => {
  const { rows } = await db.query<TransactionRow>({
    name: 'device-transactions',
    // In the order of events_transactions, lest a busy sender's are looked for among all events.
    text: `SELECT r.room_id, e.type, e.txn_target, e.txn_id, e.event_id FROM (
        SELECT room_nid, type, txn_target, txn_id, event_id FROM events
        WHERE sender = $1 AND sender_device = $2 AND txn_id IS NOT NULL
        ORDER BY sender, sender_device, room_nid LIMIT $3
      ) e JOIN rooms r USING (room_nid)`,
    values: [sender, device, limit + 1],
  });
  if (rows.length > limit) return undefined;
  return rows.map((row) => ({
    roomId: row.room_id,
    type: row.type,
    target: row.txn_target ?? undefined,
    txnId: row.txn_id,
    eventId: row.event_id,
  }));
};

/** The event that a device's transaction has made. Reads one entry of events_transactions. */
export const eventOfTransaction = async (
  db: Db,
  sender: string,
  device: string,
  { roomId, type, target, txnId }: EventTransaction,
): Promise<EventId | undefined> => {
  const { rows } = await db.query<{ event_id: EventId }>({
    name: 'event-of-transaction',
    text: `SELECT e.event_id FROM events e
      WHERE e.room_nid = (SELECT room_nid FROM rooms WHERE room_id = $3)
        AND e.sender = $1 AND e.sender_device = $2 AND e.txn_id IS NOT NULL
        AND hashtextextended(e.type || chr(10) || coalesce(e.txn_target, '') || chr(10) || e.txn_id, 0)
          = hashtextextended($4::text || chr(10) || $5::text || chr(10) || $6::text, 0)
        AND e.type = $4 AND coalesce(e.txn_target, '') = $5 AND e.txn_id = $6`,
    values: [sender, device, roomId, type, target ?? '', txnId],
  });
  return rows[0]?.event_id;
};
