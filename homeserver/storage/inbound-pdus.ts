/** The table `inbound_pdus`: received events that could not be taken in at once. */
import type { EventId, RoomId, ServerName } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';
import type { Db } from './database.ts';
import type { Walk } from './walk.ts';

export interface WaitingPdu {
  readonly roomId: RoomId;
  readonly eventId: EventId;
  readonly origin: ServerName;
  /** The PDU, its signatures and hash checked. */
  readonly json: string;
  readonly receivedAtMs: number;
  /** Filled in by the log: false for one that waits already. */
  isNew: boolean;
}

/** Those that wait already keep their place. */
export const inboundPdus: LogSection<WaitingPdu> = {
  name: 'inbound pdus',
  ...filledIn<WaitingPdu>('isNew'),
  needsTransaction: () => false,
  async write(tx, rows) {
    const { rows: added } = await tx.query<{ room_id: string; event_id: string }>({
      name: 'log-inbound-pdus',
      text: `INSERT INTO inbound_pdus (room_id, event_id, origin, received_at_ms, json)
        SELECT w.room_id, w.event_id, w.origin, w.received_at_ms, w.json
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY
          AS w (room_id, event_id, origin, received_at_ms, json, ord)
        ORDER BY w.ord
        ON CONFLICT (room_id, event_id) DO NOTHING
        RETURNING room_id, event_id`,
      values: [
        rows.map((row) => row.roomId),
        rows.map((row) => row.eventId),
        rows.map((row) => row.origin),
        rows.map((row) => row.receivedAtMs),
        rows.map((row) => row.json),
      ],
    });
    const fresh = new Set(added.map((row) => `${row.room_id} ${row.event_id}`));
    for (const row of rows) row.isNew = fresh.delete(`${row.roomId} ${row.eventId}`);
    // Nothing that readers of the log are told of.
    return 0;
  },
};

export interface DuePdu {
  readonly eventId: EventId;
  readonly origin: ServerName;
  readonly attempts: number;
  readonly json: string;
}

/** The longest waiting of one server's that are due. Uses index inbound_pdus_arrival. */
export const duePdus = async (
  db: Db,
  roomId: RoomId,
  origin: ServerName,
  nowMs: number,
  limit: number,
): Promise<DuePdu[]> => {
  const { rows } = await db.query<{
    event_id: EventId;
    origin: ServerName;
    attempts: number;
    json: string;
  }>({
    name: 'due-pdus',
    text: `SELECT event_id, origin, attempts, json FROM inbound_pdus
      WHERE room_id = $1 AND origin = $2 AND retry_at_ms <= $3 ORDER BY arrival_no LIMIT $4`,
    values: [roomId, origin, nowMs, limit],
  });
  return rows.map(({ event_id, ...row }) => ({ ...row, eventId: event_id }));
};

/** When the next of a server's events in a room is due; undefined when none waits. */
export const nextDueMs = async (
  db: Db,
  roomId: RoomId,
  origin: ServerName,
): Promise<number | undefined> => {
  const { rows } = await db.query<{ due: number | null }>({
    name: 'next-due-pdu',
    text: 'SELECT min(retry_at_ms) AS due FROM inbound_pdus WHERE room_id = $1 AND origin = $2',
    values: [roomId, origin],
  });
  return rows[0]?.due ?? undefined;
};

export const deleteWaiting = async (
  db: Db,
  roomId: RoomId,
  eventIds: readonly EventId[],
): Promise<void> => {
  await db.query({
    name: 'delete-waiting-pdus',
    text: 'DELETE FROM inbound_pdus WHERE room_id = $1 AND event_id = ANY($2::text[])',
    values: [roomId, eventIds],
  });
};

/** The whole of a room, which this server has left. */
export const deleteRoomWaiting = async (db: Db, roomId: RoomId): Promise<void> => {
  await db.query({ text: 'DELETE FROM inbound_pdus WHERE room_id = $1', values: [roomId] });
};

export const postponeWaiting = async (
  db: Db,
  roomId: RoomId,
  eventIds: readonly EventId[],
  retryAtMs: number,
): Promise<void> => {
  await db.query({
    name: 'postpone-waiting-pdus',
    text: `UPDATE inbound_pdus SET attempts = attempts + 1, retry_at_ms = $3
      WHERE room_id = $1 AND event_id = ANY($2::text[])`,
    values: [roomId, eventIds, retryAtMs],
  });
};

/** How many wait, by room and by the server they came from. */
export const waitingCounts = async (
  db: Db,
): Promise<{ roomId: RoomId; origin: ServerName; count: number }[]> => {
  const { rows } = await db.query<{ room_id: RoomId; origin: ServerName; count: number }>({
    text: `SELECT room_id, origin, count(*)::bigint AS count FROM inbound_pdus
      GROUP BY room_id, origin`,
  });
  return rows.map(({ room_id, ...row }) => ({ ...row, roomId: room_id }));
};

/** For rooms this server is not in, received before `beforeMs`. */
export const strayInboundPdus: Walk = {
  table: 'inbound_pdus',
  key: [
    ['room_id', 'text'],
    ['event_id', 'text'],
  ],
  gone: `t.received_at_ms < :beforeMs AND NOT EXISTS (
    SELECT FROM rooms r JOIN room_heads h USING (room_nid) WHERE r.room_id = t.room_id)`,
};
