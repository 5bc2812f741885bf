/** The log section by which users forget rooms: it takes turns with their membership changes. */
import type { UserId } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';

export interface ForgetRow {
  readonly userId: UserId;
  readonly roomNid: number;
  /** Filled in by the log: false when the user is in the room again. */
  forgotten: boolean;
}

export const forgottenRooms: LogSection<ForgetRow> = {
  name: 'forgotten rooms',
  ...filledIn<ForgetRow>('forgotten'),
  needsTransaction: () => false,
  async write(tx, rows) {
    const { rows: updated } = await tx.query<{ user_id: string; room_nid: number }>({
      text: `UPDATE user_rooms u SET forgotten = true
        FROM unnest($1::text[], $2::bigint[]) AS f (user_id, room_nid)
        WHERE u.user_id = f.user_id AND u.room_nid = f.room_nid
          AND u.membership IN ('leave', 'ban')
        RETURNING u.user_id, u.room_nid`,
      values: [rows.map((row) => row.userId), rows.map((row) => row.roomNid)],
    });
    const done = new Set(updated.map((row) => `${row.room_nid} ${row.user_id}`));
    for (const row of rows) row.forgotten = done.has(`${row.roomNid} ${row.userId}`);
    // Nothing that readers of the log are told of.
    return 0;
  },
};
