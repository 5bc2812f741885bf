/** The tables `user_directory` and `open_rooms`, and the changes of room states they follow. */
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName, UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';
import { packedJsonColumns, unpackedJson } from './packed-json.ts';
import type { Walk } from './walk.ts';

export interface DirectoryChange {
  readonly streamPos: number;
  readonly roomNid: number;
  readonly type: string;
  readonly stateKey: string;
  /** Undefined when the entry was removed. */
  readonly content: JsonObject | undefined;
}

const followedTypes = ['m.room.member', 'm.room.join_rules', 'm.room.history_visibility'];

/** A step may bring all members of a large room at once: they come as few at a time as this. */
const changesPerPiece = 100;

/**
 * The first changes of current states with `after < position <= upTo`, oldest first, in pieces: `limit`
 * of them, and beyond it those at the same position as the last. Uses index state_changes_stream.
 */
export async function* directoryChanges(
  tx: Tx,
  after: number,
  upTo: number,
  limit: number,
): AsyncGenerator<DirectoryChange[]> {
  await tx.query({
    text: `DECLARE directory_changes NO SCROLL CURSOR FOR
      SELECT c.stream_pos, c.room_nid, c.type, c.state_key,
        CASE WHEN e.event_nid IS NOT NULL THEN ${packedJsonColumns} END AS packed_json
      FROM (
        SELECT * FROM state_changes
        WHERE stream_pos > $1 AND stream_pos <= $2 AND type = ANY($3::text[])
        ORDER BY stream_pos FETCH FIRST $4 ROWS WITH TIES
      ) c JOIN rooms r USING (room_nid) LEFT JOIN events e USING (room_nid, event_nid)
      ORDER BY c.stream_pos`,
    values: [after, upTo, followedTypes, limit],
  });
  for (;;) {
    const { rows } = await tx.query<ChangeRecord>({
      text: `FETCH ${changesPerPiece} FROM directory_changes`,
    });
    if (rows.length > 0) yield rows.map(changeFrom);
    if (rows.length < changesPerPiece) break;
  }
  await tx.query({ text: 'CLOSE directory_changes' });
}

interface ChangeRecord {
  stream_pos: number;
  room_nid: number;
  type: string;
  state_key: string;
  packed_json: string | null;
}

const changeFrom = (row: ChangeRecord): DirectoryChange => ({
  streamPos: row.stream_pos,
  roomNid: row.room_nid,
  type: row.type,
  stateKey: row.state_key,
  content:
    row.packed_json === null
      ? undefined
      : (JSON.parse(unpackedJson(row.packed_json)) as { content: JsonObject }).content,
});

export interface DirectoryUser {
  readonly userId: UserId;
  readonly displayName: string | undefined;
  readonly avatarUrl: string | undefined;
}

/** Of users of this server, whose names are those of their profiles. */
export const anyRoom = 0;

export interface DirectoryEntry extends DirectoryUser {
  /** In which a user of another server has the name, or `anyRoom`. */
  readonly roomNid: number;
  /** What the user is found by. */
  readonly words: readonly string[];
}

/** Each user comes once for a room. */
export const putDirectoryUsers = async (
  tx: Tx,
  entries: readonly DirectoryEntry[],
): Promise<void> => {
  await tx.query({
    name: 'put-directory-users',
    text: `INSERT INTO user_directory AS kept (user_id, room_nid, display_name, avatar_url, words)
      SELECT u.user_id, u.room_nid, u.display_name, u.avatar_url, array_to_tsvector(u.words::text[])
      FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[])
        AS u (user_id, room_nid, display_name, avatar_url, words)
      ON CONFLICT (user_id, room_nid) DO UPDATE SET display_name = EXCLUDED.display_name,
        avatar_url = EXCLUDED.avatar_url, words = EXCLUDED.words
      -- With every room that people join their names come again, mostly as they are.
      WHERE (kept.display_name, kept.avatar_url, kept.words)
        IS DISTINCT FROM (EXCLUDED.display_name, EXCLUDED.avatar_url, EXCLUDED.words)`,
    values: [
      entries.map(({ userId }) => userId),
      entries.map(({ roomNid }) => roomNid),
      entries.map(({ displayName }) => displayName ?? null),
      entries.map(({ avatarUrl }) => avatarUrl ?? null),
      // Words have letters and digits only, and need no quotes.
      entries.map(({ words }) => `{${words.map((word) => `"${word}"`).join(',')}}`),
    ],
  });
};

export const deleteDirectoryUsers = async (
  tx: Tx,
  entries: readonly Pick<DirectoryEntry, 'userId' | 'roomNid'>[],
): Promise<void> => {
  await tx.query({
    name: 'delete-directory-users',
    text: `DELETE FROM user_directory d USING unnest($1::text[], $2::bigint[]) AS u (user_id, room_nid)
      WHERE d.user_id = u.user_id AND d.room_nid = u.room_nid`,
    values: [entries.map(({ userId }) => userId), entries.map(({ roomNid }) => roomNid)],
  });
};

/** What is known of a room: `undefined` leaves it as it is. */
export interface OpenRoom {
  publicJoin: boolean | undefined;
  worldReadable: boolean | undefined;
  /** Somebody of this server is in it. */
  present: boolean | undefined;
}

/** By room nid. */
export const putOpenRooms = async (tx: Tx, rooms: ReadonlyMap<number, OpenRoom>): Promise<void> => {
  const values = [...rooms.values()];
  await tx.query({
    name: 'put-open-rooms',
    text: `INSERT INTO open_rooms AS kept (room_nid, public_join, world_readable, present)
      SELECT r.room_nid, coalesce(r.public_join, k.public_join, false),
        coalesce(r.world_readable, k.world_readable, false), coalesce(r.present, k.present, false)
      FROM unnest($1::bigint[], $2::boolean[], $3::boolean[], $4::boolean[])
        AS r (room_nid, public_join, world_readable, present)
      LEFT JOIN open_rooms k USING (room_nid)
      ON CONFLICT (room_nid) DO UPDATE SET public_join = EXCLUDED.public_join,
        world_readable = EXCLUDED.world_readable, present = EXCLUDED.present`,
    values: [
      [...rooms.keys()],
      values.map(({ publicJoin }) => publicJoin ?? null),
      values.map(({ worldReadable }) => worldReadable ?? null),
      values.map(({ present }) => present ?? null),
    ],
  });
};

/** Those of these rooms that anyone of this server is in now. */
export const roomsWithLocalMembers = async (
  db: Db,
  roomNids: readonly number[],
  serverName: ServerName,
): Promise<Set<number>> => {
  const { rows } = await db.query<{ room_nid: number }>({
    name: 'rooms-with-local-members',
    text: `SELECT wanted.room_nid FROM unnest($1::bigint[]) AS wanted (room_nid)
      CROSS JOIN LATERAL (
        SELECT 1 FROM current_state c
        WHERE c.room_nid = wanted.room_nid AND type = 'm.room.member' AND membership = 'join'
          AND substr(state_key, strpos(state_key, ':') + 1) = $2 LIMIT 1
      ) present`,
    values: [roomNids, serverName],
  });
  return new Set(rows.map((row) => row.room_nid));
};

/**
 * Users with a word that begins like each of these, by names that the searcher may know: those of this
 * server by their profile if they share a room with the searcher or are in a room open to anyone; those
 * of others by what they are called in such rooms. Nobody is found by sharing a room with themselves.
 * An exact name or localpart comes first. Uses index user_directory_words.
 */
export const findDirectoryUsers = async (
  db: Db,
  searcher: UserId,
  words: readonly string[],
  exact: string,
  limit: number,
): Promise<DirectoryUser[]> => {
  const { rows } = await db.query<{
    user_id: UserId;
    display_name: string | null;
    avatar_url: string | null;
  }>({
    name: 'find-directory-users',
    text: `SELECT f.user_id, f.display_name, f.avatar_url FROM (
        SELECT DISTINCT ON (d.user_id) d.user_id, d.display_name, d.avatar_url
        FROM user_directory d
        WHERE d.words @@ $1::tsquery AND EXISTS (
          SELECT 1 FROM user_rooms theirs
          WHERE theirs.user_id = d.user_id AND theirs.membership = 'join'
            AND (d.room_nid = ${anyRoom} OR theirs.room_nid = d.room_nid)
            AND (EXISTS (SELECT 1 FROM open_rooms o WHERE o.room_nid = theirs.room_nid
                AND o.present AND (o.public_join OR o.world_readable))
              OR d.user_id <> $2 AND EXISTS (SELECT 1 FROM user_rooms mine WHERE mine.user_id = $2
                AND mine.room_nid = theirs.room_nid AND mine.membership = 'join')))
        ORDER BY d.user_id, lower(d.display_name) = $3 DESC NULLS LAST, d.room_nid
      ) f
      ORDER BY lower(f.display_name) = $3 DESC NULLS LAST,
        split_part(substr(f.user_id, 2), ':', 1) = $3 DESC,
        f.display_name IS NOT NULL DESC, f.user_id
      LIMIT $4`,
    values: [words.map((word) => `'${word}':*`).join(' & '), searcher, exact, limit],
  });
  return rows.map((row) => ({
    userId: row.user_id,
    displayName: row.display_name ?? undefined,
    avatarUrl: row.avatar_url ?? undefined,
  }));
};

/** People in no room, and names in rooms that people are not in. */
export const idleDirectoryUsers: Walk = {
  table: 'user_directory',
  key: [
    ['user_id', 'text'],
    ['room_nid', 'bigint'],
  ],
  gone: `NOT EXISTS (SELECT FROM user_rooms u WHERE u.user_id = t.user_id
    AND u.membership = 'join' AND (t.room_nid = ${anyRoom} OR u.room_nid = t.room_nid))`,
};
