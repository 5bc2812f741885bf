/** Rooms this server is not in, as those who invite its users describe them. */
import type { Migration } from '../migration.ts';

const batchSize = 500;

interface CreateRow {
  readonly room_nid: string;
  readonly version: string;
  readonly json: string;
}

export const outsideRoomsMigration: Migration = {
  name: '0017-outside-rooms',
  /** Looks at the create event of every room once: some seconds for a hundred thousand rooms. */
  up: async (knex) => {
    await knex.raw(`
      -- Set by the room's own create event; null for a room known only from hearsay.
      ALTER TABLE rooms ALTER COLUMN version DROP NOT NULL;

      -- Invites and knocks that wait for an answer, of users of this server to rooms that it is not in.
      CREATE TABLE outside_memberships (
        user_id text NOT NULL,
        room_nid bigint NOT NULL,
        event_nid bigint NOT NULL,
        -- Of whoever sent the member event.
        server text NOT NULL,
        -- As that server has it: nothing proves it.
        room_version text NOT NULL,
        -- Of the stripped state in user_rooms.
        bytes integer NOT NULL,
        received_at_ms bigint NOT NULL,
        PRIMARY KEY (user_id, room_nid)
      );
      CREATE INDEX outside_memberships_server ON outside_memberships (server, received_at_ms);
      CREATE INDEX outside_memberships_room ON outside_memberships (room_nid);

      INSERT INTO outside_memberships
      SELECT u.user_id, u.room_nid, u.event_nid, substring(e.sender FROM position(':' IN e.sender) + 1),
        r.version, octet_length(u.stripped_state), r.created_at_ms
      FROM user_rooms u
      JOIN rooms r USING (room_nid)
      JOIN events e ON e.room_nid = u.room_nid AND e.event_nid = u.event_nid
      LEFT JOIN room_heads h ON h.room_nid = u.room_nid
      WHERE h.room_nid IS NULL AND u.membership IN ('invite', 'knock')
        AND u.stripped_state IS NOT NULL;

      -- What a room's servers have sent waits for each of them apart.
      DROP INDEX inbound_pdus_arrival;
      CREATE INDEX inbound_pdus_arrival ON inbound_pdus (room_id, origin, arrival_no);

      UPDATE rooms r SET version = NULL
        WHERE NOT EXISTS (SELECT FROM room_heads h WHERE h.room_nid = r.room_nid);
    `);
    // A room that its server joined after an invite that named another version.
    for (let after = '0'; ; ) {
      const { rows } = (await knex.raw(
        `SELECT r.room_nid, r.version, e.json FROM rooms r
          JOIN current_state c ON c.room_nid = r.room_nid AND c.type = 'm.room.create'
            AND c.state_key = ''
          JOIN events e ON e.room_nid = r.room_nid AND e.event_nid = c.event_nid
          WHERE r.room_nid > ? AND r.version IS NOT NULL ORDER BY r.room_nid LIMIT ?`,
        [after, batchSize],
      )) as { rows: CreateRow[] };
      for (const { room_nid: roomNid, version, json } of rows) {
        const { content } = JSON.parse(json) as { content: { room_version?: unknown } };
        const actual = content.room_version ?? '1';
        if (actual !== version)
          await knex('rooms').where({ room_nid: roomNid }).update({ version: actual });
      }
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.room_nid;
    }
  },
};
