/** The JSON of events as text, for those who pass it on without looking inside. */
import type { Db } from './database.ts';
import { packedJsonColumns, unpackedJson } from './packed-json.ts';

/** By nid; absent ones are left out. */
export const eventJsonByNid = async (
  db: Db,
  roomNid: number,
  nids: readonly number[],
): Promise<Map<number, string>> => {
  const { rows } = await db.query<{ event_nid: number; packed_json: string }>({
    name: 'event-json-by-nid',
    text: `SELECT e.event_nid, ${packedJsonColumns} AS packed_json
      FROM events e JOIN rooms r USING (room_nid)
      WHERE e.room_nid = $1 AND e.event_nid = ANY($2::bigint[])`,
    values: [roomNid, nids],
  });
  return new Map(rows.map((row) => [row.event_nid, unpackedJson(row.packed_json)]));
};

/** Ids by nid; absent ones are left out. */
export const eventIdsByNid = async (
  db: Db,
  roomNid: number,
  nids: readonly number[],
): Promise<Map<number, string>> => {
  const { rows } = await db.query<{ event_nid: number; event_id: string }>({
    name: 'event-ids-by-nid',
    text: `SELECT event_nid, event_id FROM events
      WHERE room_nid = $1 AND event_nid = ANY($2::bigint[])`,
    values: [roomNid, nids],
  });
  return new Map(rows.map((row) => [row.event_nid, row.event_id]));
};
