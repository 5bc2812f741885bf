/** The table `reports`. */
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db, Tx } from './database.ts';
import type { Walk } from './walk.ts';

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

export interface StoredReport extends Report {
  readonly reportId: number;
  /** When an operator was done with it. */
  readonly closedAtMs: number | undefined;
}

interface ReportRow {
  report_id: number;
  reporter: UserId;
  received_at_ms: number;
  room_id: RoomId | null;
  event_id: EventId | null;
  user_id: UserId | null;
  reason: string | null;
  closed_at_ms: number | null;
}

/** From after the report numbered `after`, the oldest first; closed ones only where asked for. */
export const listReports = async (
  db: Db,
  { after, limit, closed }: { after: number; limit: number; closed: boolean },
): Promise<StoredReport[]> => {
  const { rows } = await db.query<ReportRow>({
    text: `SELECT report_id, reporter, received_at_ms, room_id, event_id, user_id, reason, closed_at_ms
      FROM reports WHERE report_id > $1 AND ($3 OR closed_at_ms IS NULL)
      ORDER BY report_id LIMIT $2`,
    values: [after, limit, closed],
  });
  return rows.map((row) => ({
    reportId: row.report_id,
    reporter: row.reporter,
    receivedAtMs: row.received_at_ms,
    roomId: row.room_id ?? undefined,
    eventId: row.event_id ?? undefined,
    userId: row.user_id ?? undefined,
    reason: row.reason ?? undefined,
    closedAtMs: row.closed_at_ms ?? undefined,
  }));
};

/** `false` when there is no such report or it is closed already. */
export const closeReport = async (tx: Tx, reportId: number, nowMs: number): Promise<boolean> => {
  const { rowCount } = await tx.query({
    text: 'UPDATE reports SET closed_at_ms = $2 WHERE report_id = $1 AND closed_at_ms IS NULL',
    values: [reportId, nowMs],
  });
  return rowCount === 1;
};

/** `beforeMs`: received before then. */
export const oldReports: Walk = {
  table: 'reports',
  key: [['report_id', 'bigint']],
  gone: 't.received_at_ms < :beforeMs',
};
