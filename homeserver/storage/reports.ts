/** The table `reports`. */
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Tx } from './database.ts';

export interface Report {
  readonly reporter: UserId;
  readonly receivedAtMs: number;
  readonly roomId?: RoomId | undefined;
  readonly eventId?: EventId | undefined;
  readonly userId?: UserId | undefined;
  readonly reason: string | undefined;
}

export const insertReport = async (tx: Tx, report: Report): Promise<void> => {
  await tx.query({
    text: `INSERT INTO reports (reporter, received_at_ms, room_id, event_id, user_id, reason)
      VALUES ($1, $2, $3, $4, $5, $6)`,
    values: [
      report.reporter,
      report.receivedAtMs,
      report.roomId ?? null,
      report.eventId ?? null,
      report.userId ?? null,
      report.reason ?? null,
    ],
  });
};
