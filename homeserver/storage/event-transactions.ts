/**
 * The transaction ids of events: whose device made which event in which request. The unique index
 * events_transactions lets no two events have the same.
 */
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import { deviceKey, transactionKey } from './text-keys.ts';

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

const eventDeviceKey = deviceKey('sender', 'sender_device');
const eventTransactionKey = transactionKey(
  'room_nid',
  'type',
  "coalesce(txn_target, '')",
  'txn_id',
);
const roomNid = '(SELECT room_nid FROM rooms WHERE room_id = $3)';

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
    // In the order of events_transactions and by its key alone, lest a busy sender's are looked for
    // among all events.
    text: `SELECT r.room_id, e.type, e.txn_target, e.txn_id, e.event_id FROM (
        SELECT room_nid, sender, sender_device, type, txn_target, txn_id, event_id FROM events
        WHERE ${eventDeviceKey} = ${deviceKey('$1::text', '$2::text')} AND txn_id IS NOT NULL
        ORDER BY ${eventDeviceKey}, ${eventTransactionKey} LIMIT $3
      ) e JOIN rooms r USING (room_nid) WHERE e.sender = $1 AND e.sender_device = $2`,
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
    text: `SELECT event_id FROM events
      WHERE ${eventDeviceKey} = ${deviceKey('$1::text', '$2::text')}
        AND ${eventTransactionKey} = ${transactionKey(roomNid, '$4::text', '$5::text', '$6::text')}
        AND txn_id IS NOT NULL AND room_nid = ${roomNid} AND sender = $1 AND sender_device = $2
        AND type = $4 AND coalesce(txn_target, '') = $5 AND txn_id = $6`,
    values: [sender, device, roomId, type, target ?? '', txnId],
  });
  return rows[0]?.event_id;
};
