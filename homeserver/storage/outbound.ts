/** Reading what other servers are to be sent. Written by the log: event-section.ts. */
import type { EventId, ServerName } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import { packedJsonColumns, unpackedJson } from './packed-json.ts';

export interface OutboundRecord {
  stream_pos: number;
  room_nid: number;
  event_id: EventId;
  json: string;
}

/** As it is read: see packed-json.ts. */
interface PackedRecord extends Omit<OutboundRecord, 'json'> {
  packed_json: string;
}

const unpacked = ({ packed_json: packed, ...record }: PackedRecord): OutboundRecord => ({
  ...record,
  json: unpackedJson(packed),
});

/** Relayed events with `after < position <= upTo`, in order. Uses index events_stream. */
export const relayedEvents = async (
  db: Db,
  after: number,
  upTo: number,
  limit: number,
): Promise<OutboundRecord[]> => {
  const { rows } = await db.query<PackedRecord>({
    name: 'outbound-relayed',
    text: `SELECT e.stream_pos, e.room_nid, e.event_id, ${packedJsonColumns} AS packed_json
      FROM events e JOIN rooms r USING (room_nid)
      WHERE e.stream_pos > $1 AND e.stream_pos <= $2 AND e.backfill_pos = 0 AND e.relayed
        AND e.rejected_reason IS NULL AND NOT e.soft_failed
      ORDER BY e.stream_pos LIMIT $3`,
    values: [after, upTo, limit],
  });
  return rows.map(unpacked);
};

/** The same for one server: of the rooms it is or was in, while it was. */
export const relayedEventsFor = async (
  db: Db,
  server: ServerName,
  after: number,
  upTo: number,
  limit: number,
): Promise<OutboundRecord[]> => {
  const { rows } = await db.query<PackedRecord>({
    name: 'outbound-relayed-for',
    text: `SELECT e.stream_pos, e.room_nid, e.event_id, ${packedJsonColumns} AS packed_json
      FROM server_rooms s JOIN rooms r USING (room_nid)
      JOIN events e ON e.room_nid = s.room_nid AND e.stream_pos > greatest(s.from_pos, $2)
        AND e.stream_pos <= least(s.to_pos, $3)
      WHERE s.server = $1 AND (s.to_pos IS NULL OR s.to_pos > $2) AND e.backfill_pos = 0
        AND e.relayed AND e.rejected_reason IS NULL AND NOT e.soft_failed
      ORDER BY e.stream_pos LIMIT $4`,
    values: [server, after, upTo, limit],
  });
  return rows.map(unpacked);
};

export interface ServerInterval {
  room_nid: number;
  server: ServerName;
  from_pos: number;
  to_pos: number | null;
}

/** When which servers were in these rooms, as far as it matters after a position. */
export const serverIntervals = async (
  db: Db,
  roomNids: readonly number[],
  after: number,
): Promise<ServerInterval[]> => {
  const { rows } = await db.query<ServerInterval>({
    name: 'outbound-server-intervals',
    text: `SELECT room_nid, server, from_pos, to_pos FROM server_rooms
      WHERE room_nid = ANY($1::bigint[]) AND (to_pos IS NULL OR to_pos > $2)`,
    values: [roomNids, after],
  });
  return rows;
};
