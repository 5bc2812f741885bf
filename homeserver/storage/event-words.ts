/** The table `event_words`: which words events have in their texts. */
import { numberArray, records, textArray } from './array-parameters.ts';
import type { Db, Tx } from './database.ts';
import { packedJsonColumns, unpackedJson } from './packed-json.ts';

export const searchKeys = ['content.body', 'content.name', 'content.topic'] as const;
export type SearchKey = (typeof searchKeys)[number];

const storedKeys: Readonly<Record<SearchKey, string>> = {
  'content.body': 'b',
  'content.name': 'n',
  'content.topic': 't',
};

/** Where each kind of event has its text. */
export const searchedTypes: Readonly<Record<string, SearchKey>> = {
  'm.room.message': 'content.body',
  'm.room.name': 'content.name',
  'm.room.topic': 'content.topic',
};

export const redactionType = 'm.room.redaction';

export interface SearchableEvent {
  readonly roomNid: number;
  readonly eventNid: number;
  readonly streamPos: number;
  readonly type: string;
  /** JSON of the event. */
  readonly json: string;
}

/**
 * The first live events with `after < position <= upTo` that have texts, and redactions; of as many
 * as `maxBytes` holds as they are stored, and at least one. Index events_stream.
 */
export const searchableEvents = async (
  db: Db,
  after: number,
  upTo: number,
  limit: number,
  maxBytes: number,
): Promise<SearchableEvent[]> => {
  const { rows } = await db.query<{
    room_nid: number;
    event_nid: number;
    stream_pos: number;
    type: string;
    packed_json: string;
  }>({
    name: 'searchable-events',
    text: `SELECT e.room_nid, e.event_nid, e.stream_pos, e.type, ${packedJsonColumns} AS packed_json
      FROM (
        SELECT *,
          sum(octet_length(json)) OVER (ORDER BY stream_pos) - octet_length(json) AS bytes_before
        FROM (
          SELECT room_nid, event_nid, stream_pos, type, sender, depth, origin_server_ts, json
          FROM events
          WHERE stream_pos > $1 AND stream_pos <= $2 AND backfill_pos = 0 AND type = ANY($3::text[])
            AND rejected_reason IS NULL AND NOT soft_failed AND redacted_by_nid IS NULL
          ORDER BY stream_pos LIMIT $4
        ) first
      ) e JOIN rooms r USING (room_nid)
      WHERE e.bytes_before < $5 ORDER BY e.stream_pos`,
    values: [after, upTo, [...Object.keys(searchedTypes), redactionType], limit, maxBytes],
  });
  return rows.map((row) => ({
    roomNid: row.room_nid,
    eventNid: row.event_nid,
    streamPos: row.stream_pos,
    type: row.type,
    json: unpackedJson(row.packed_json),
  }));
};

export interface EventWords {
  readonly roomNid: number;
  readonly eventNid: number;
  readonly streamPos: number;
  readonly key: SearchKey;
  readonly words: readonly string[];
}

/**
 * Forgets the words of those of these events that are redacted: `redactions` are events that name
 * them. Uses indexes events_event_id and event_words_log.
 */
export const deleteRedactedWords = async (
  tx: Tx,
  redacted: readonly { readonly roomNid: number; readonly eventId: string }[],
): Promise<void> => {
  await tx.query({
    name: 'delete-redacted-words',
    text: `DELETE FROM event_words w
      USING unnest($1::bigint[], $2::text[]) AS r (room_nid, event_id)
      JOIN events e ON text_key(e.event_id) = text_key(r.event_id)
        AND e.room_nid = r.room_nid AND e.event_id = r.event_id
      WHERE e.redacted_by_nid IS NOT NULL AND w.stream_pos = e.stream_pos
        AND w.room_nid = e.room_nid AND w.event_nid = e.event_nid`,
    values: [redacted.map(({ roomNid }) => roomNid), redacted.map(({ eventId }) => eventId)],
  });
};

export const putEventWords = async (tx: Tx, rows: readonly EventWords[]): Promise<void> => {
  await tx.query({
    name: 'put-event-words',
    text: `INSERT INTO event_words (room_nid, event_nid, stream_pos, key, words)
      SELECT w.room_nid, w.event_nid, w.stream_pos, w.key::"char",
        array_to_tsvector(string_to_array(w.words, ' '))
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[],
          string_to_array($5, E'\\x1e'))
        AS w (room_nid, event_nid, stream_pos, key, words)`,
    values: [
      numberArray(rows, ({ roomNid }) => roomNid),
      numberArray(rows, ({ eventNid }) => eventNid),
      numberArray(rows, ({ streamPos }) => streamPos),
      textArray(rows, ({ key }) => storedKeys[key]),
      // Words have letters and digits only: there is nothing in them to escape.
      records(rows, ({ words }) => words.join(' ')),
    ],
  });
};

export interface WordsRange {
  readonly roomNid: number;
  readonly after: number;
  readonly upTo: number;
}

export interface WordsQuery {
  /** All of them are in each event found. */
  readonly words: readonly string[];
  readonly keys: readonly SearchKey[];
  /** Only events of each room with `after < position <= upTo`. */
  readonly rooms: readonly WordsRange[];
  readonly orderBy: 'rank' | 'recent';
  readonly limit: number;
  readonly offset: number;
}

const tsquery = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(' & ');

const matching = `event_words w
  JOIN unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS m (room_nid, after, up_to)
    USING (room_nid)
  JOIN events e ON e.room_nid = w.room_nid AND e.event_nid = w.event_nid
  WHERE w.words @@ $1::tsquery AND w.key = ANY($5::"char"[])
    AND w.stream_pos > m.after AND w.stream_pos <= m.up_to AND e.redacted_by_nid IS NULL
    AND NOT EXISTS (
      SELECT 1 FROM users u WHERE u.user_id = e.sender AND u.erased_pos IS NOT NULL)`;

const valuesOf = ({ words, rooms, keys }: Omit<WordsQuery, 'orderBy' | 'limit' | 'offset'>) => [
  tsquery(words),
  rooms.map(({ roomNid }) => roomNid),
  rooms.map(({ after }) => after),
  rooms.map(({ upTo }) => upTo),
  keys.map((key) => storedKeys[key]),
];

/** Which of these rooms have any such event. Uses index event_words_words. */
export const roomsWithWords = async (
  db: Db,
  words: readonly string[],
  roomNids: readonly number[],
): Promise<number[]> => {
  const { rows } = await db.query<{ room_nid: number }>({
    name: 'rooms-with-words',
    text: `SELECT DISTINCT room_nid FROM event_words
      WHERE words @@ $1::tsquery AND room_nid = ANY($2::bigint[])`,
    values: [tsquery(words), roomNids],
  });
  return rows.map((row) => row.room_nid);
};

/** The events found, the best or the newest first. Uses index event_words_words. */
export const eventsWithWords = async (
  db: Db,
  query: WordsQuery,
): Promise<{ roomNid: number; eventNid: number; rank: number }[]> => {
  const order = query.orderBy === 'rank' ? 'rank DESC, stream_pos DESC' : 'stream_pos DESC';
  const { rows } = await db.query<{ room_nid: number; event_nid: number; rank: number }>({
    name: `events-with-words-${query.orderBy}`,
    text: `SELECT w.room_nid, w.event_nid, w.stream_pos, ts_rank(w.words, $1::tsquery) AS rank
      FROM ${matching} ORDER BY ${order} LIMIT $6 OFFSET $7`,
    values: [...valuesOf(query), query.limit, query.offset],
  });
  return rows.map((row) => ({ roomNid: row.room_nid, eventNid: row.event_nid, rank: row.rank }));
};

/** How many there are, counted up to `most`. */
export const countEventsWithWords = async (
  db: Db,
  query: Pick<WordsQuery, 'words' | 'rooms' | 'keys'>,
  most: number,
): Promise<number> => {
  const { rows } = await db.query<{ count: number }>({
    name: 'count-events-with-words',
    text: `SELECT count(*)::int8 AS count FROM (SELECT 1 FROM ${matching} LIMIT $6) found`,
    values: [...valuesOf(query), most],
  });
  return rows[0]?.count ?? 0;
};
