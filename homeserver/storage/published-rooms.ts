/** Reading what the published room directory shows, from the current state of the rooms in it. */
import type { JsonObject, Pdu } from '../../spec/event.ts';
import type { RoomId } from '../../spec/identifiers.ts';
import type { Db } from './database.ts';
import { packedJsonColumns, unpackedJson } from './packed-json.ts';
import { stateEntryKey } from './text-keys.ts';

export interface PublishedRoom {
  readonly roomNid: number;
  readonly roomId: RoomId;
  readonly joined: number;
}

/** Published rooms that somebody is in: those with the most people first. */
export const publishedRooms = async (db: Db): Promise<PublishedRoom[]> => {
  const { rows } = await db.query<PublishedRoom>({
    name: 'published-rooms',
    text: `SELECT r.room_nid AS "roomNid", r.room_id AS "roomId", h.joined
      FROM published_rooms p JOIN rooms r USING (room_id) JOIN room_heads h USING (room_nid)
      WHERE h.joined > 0 ORDER BY h.joined DESC, r.room_nid`,
  });
  return rows;
};

/**
 * Content of state events of these types with an empty state key, by room and type. Uses index
 * state_changes_current.
 */
export const stateContents = async <Type extends string>(
  db: Db,
  roomNids: readonly number[],
  types: readonly Type[],
): Promise<Map<number, Map<Type, JsonObject>>> => {
  const { rows } = await db.query<{ room_nid: number; type: Type; packed_json: string }>({
    name: 'state-contents',
    text: `SELECT c.room_nid, c.type, ${packedJsonColumns} AS packed_json
      FROM current_state c JOIN events e USING (room_nid, event_nid) JOIN rooms r USING (room_nid)
      WHERE c.room_nid = ANY($1::bigint[]) AND c.type = ANY($2::text[]) AND c.state_key = ''
        AND ${stateEntryKey('c.type', 'c.state_key')} = ANY(ARRAY(
          SELECT ${stateEntryKey('type', "''")} FROM unnest($2::text[]) AS types (type)))`,
    values: [roomNids, types],
  });
  const contents = new Map<number, Map<Type, JsonObject>>();
  for (const { room_nid: roomNid, type, packed_json: packed } of rows) {
    const ofRoom = contents.get(roomNid) ?? new Map<Type, JsonObject>();
    ofRoom.set(type, (JSON.parse(unpackedJson(packed)) as Pdu).content);
    contents.set(roomNid, ofRoom);
  }
  return contents;
};
