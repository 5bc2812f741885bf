/** Aliases of rooms and the published room directory. */
import type { RoomAlias, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';

export interface AliasRecord {
  readonly alias: RoomAlias;
  readonly roomId: RoomId;
  readonly creator: UserId;
}

/** False when the alias is taken. */
export const insertAlias = async (tx: Tx, record: AliasRecord): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `INSERT INTO room_aliases (alias, room_id, creator) VALUES ($1, $2, $3)
      ON CONFLICT (alias) DO NOTHING`,
    values: [record.alias, record.roomId, record.creator],
  });
  return rowCount === 1;
};

export const aliasRecord = async (db: Db, alias: RoomAlias): Promise<AliasRecord | undefined> => {
  const { rows } = await db.query<AliasRecord>({
    name: 'room-alias',
    text: `SELECT alias, room_id AS "roomId", creator FROM room_aliases WHERE alias = $1`,
    values: [alias],
  });
  return rows[0];
};

/** Uses index room_aliases_room. */
export const aliasesOfRoom = async (db: Db, roomId: RoomId): Promise<RoomAlias[]> => {
  const { rows } = await db.query<{ alias: RoomAlias }>({
    text: `SELECT alias FROM room_aliases WHERE room_id = $1 ORDER BY alias LIMIT 1000`,
    values: [roomId],
  });
  return rows.map(({ alias }) => alias);
};

/** Whether there was such an alias. */
export const deleteAlias = async (tx: Tx, alias: RoomAlias): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: `DELETE FROM room_aliases WHERE alias = $1`,
    values: [alias],
  });
  return rowCount === 1;
};

export const moveAliases = async (tx: Tx, from: RoomId, to: RoomId): Promise<void> => {
  await tx.query({
    text: `UPDATE room_aliases SET room_id = $2 WHERE room_id = $1`,
    values: [from, to],
  });
};

export const isPublished = async (db: Db, roomId: RoomId): Promise<boolean> => {
  const { rows } = await db.query({
    text: `SELECT 1 FROM published_rooms WHERE room_id = $1`,
    values: [roomId],
  });
  return rows.length === 1;
};

export const setPublished = async (tx: Tx, roomId: RoomId, published: boolean): Promise<void> => {
  await tx.query({
    text: published
      ? `INSERT INTO published_rooms (room_id) VALUES ($1) ON CONFLICT DO NOTHING`
      : `DELETE FROM published_rooms WHERE room_id = $1`,
    values: [roomId],
  });
};
