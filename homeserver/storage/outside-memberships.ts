/**
 * The table `outside_memberships`: invites and knocks of this server's users that wait for an answer
 * in rooms it is not in. A row stands for as long as `user_rooms` names the same member event.
 */
import type { RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type LogSection, nothingFilledIn } from '../streams/log-batch.ts';
import type { Db } from './database.ts';

export interface OutsideMembership {
  readonly userId: string;
  readonly roomNid: number;
  /** Undefined: nothing waits any more. */
  readonly waiting:
    | {
        readonly eventNid: number;
        readonly server: ServerName;
        readonly roomVersion: string;
        /** Of the stripped state. */
        readonly bytes: number;
        readonly receivedAtMs: number;
      }
    | undefined;
}

export const outsideMemberships: LogSection<OutsideMembership> = {
  name: 'outside memberships',
  ...nothingFilledIn,
  needsTransaction: () => true,
  async write(tx, rows) {
    for (const { userId, roomNid, waiting } of rows) {
      if (waiting === undefined) {
        await tx.query({
          name: 'end-outside-membership',
          text: 'DELETE FROM outside_memberships WHERE user_id = $1 AND room_nid = $2',
          values: [userId, roomNid],
        });
        continue;
      }
      const { eventNid, server, roomVersion, bytes, receivedAtMs } = waiting;
      await tx.query({
        name: 'put-outside-membership',
        text: `INSERT INTO outside_memberships
            (user_id, room_nid, event_nid, server, room_version, bytes, received_at_ms)
          VALUES ($1, $2, $3, $4, $5, $6, $7)
          ON CONFLICT (user_id, room_nid) DO UPDATE SET event_nid = EXCLUDED.event_nid,
            server = EXCLUDED.server, room_version = EXCLUDED.room_version,
            bytes = EXCLUDED.bytes, received_at_ms = EXCLUDED.received_at_ms`,
        values: [userId, roomNid, eventNid, server, roomVersion, bytes, receivedAtMs],
      });
    }
    // Their events have the positions that readers are told of.
    return 0;
  },
};

/** The room's version as whoever sent the invite (or took the knock) has it; undefined without one. */
export const outsideVersion = async (
  db: Db,
  userId: UserId,
  roomId: RoomId,
): Promise<string | undefined> => {
  const { rows } = await db.query<{ room_version: string }>({
    name: 'outside-version',
    text: `SELECT o.room_version FROM outside_memberships o JOIN rooms r USING (room_nid)
      WHERE o.user_id = $1 AND r.room_id = $2`,
    values: [userId, roomId],
  });
  return rows[0]?.room_version;
};

export interface Waiting {
  readonly count: number;
  readonly bytes: number;
}

/** What waits for a user's answer, all in all and from one server. Bounded by what may wait. */
export const waitingOfUser = async (
  db: Db,
  userId: UserId,
  server: ServerName,
): Promise<{ all: Waiting; fromServer: Waiting }> => {
  const { rows } = await db.query<{ count: number; bytes: number; is_server: boolean }>({
    name: 'outside-waiting-of-user',
    text: `SELECT o.server = $2 AS is_server, count(*)::bigint AS count,
        coalesce(sum(o.bytes), 0)::bigint AS bytes
      FROM outside_memberships o
      JOIN user_rooms u ON u.user_id = o.user_id AND u.room_nid = o.room_nid
        AND u.event_nid = o.event_nid
      WHERE o.user_id = $1 GROUP BY is_server`,
    values: [userId, server],
  });
  const of = (wanted: boolean): Waiting =>
    rows.find(({ is_server }) => is_server === wanted) ?? { count: 0, bytes: 0 };
  const [fromServer, others] = [of(true), of(false)];
  const all = { count: fromServer.count + others.count, bytes: fromServer.bytes + others.bytes };
  return { all, fromServer };
};

/** What waits of all that a server has sent since. Uses index outside_memberships_server. */
export const waitingOfServer = async (
  db: Db,
  server: ServerName,
  sinceMs: number,
): Promise<Waiting> => {
  const { rows } = await db.query<{ count: number; bytes: number }>({
    name: 'outside-waiting-of-server',
    text: `SELECT count(*)::bigint AS count, coalesce(sum(bytes), 0)::bigint AS bytes
      FROM outside_memberships WHERE server = $1 AND received_at_ms >= $2`,
    values: [server, sinceMs],
  });
  return rows[0] ?? { count: 0, bytes: 0 };
};

/** All of a room that this server has come into: what the room itself says of its users counts now. */
export const endOutsideMemberships = async (db: Db, roomNid: number): Promise<void> => {
  await db.query({
    text: 'DELETE FROM outside_memberships WHERE room_nid = $1',
    values: [roomNid],
  });
};
