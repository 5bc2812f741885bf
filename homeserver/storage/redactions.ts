/** Redactions that were received before the event they redact. */
import type { Db } from './database.ts';

/** Redactions of one room that wait at most; the oldest are given up for newer ones. */
export const maxUnappliedRedactions = 1_000;

/** Target event ids to the nids of the redactions that name them. */
export const unappliedRedactions = async (
  db: Db,
  roomNid: number,
): Promise<Map<string, number[]>> => {
  const { rows } = await db.query<{ event_id: string; redaction_nid: number }>({
    name: 'unapplied-redactions',
    text: `SELECT * FROM (
        SELECT event_id, redaction_nid FROM unapplied_redactions WHERE room_nid = $1
        ORDER BY redaction_nid DESC LIMIT $2
      ) newest ORDER BY redaction_nid`,
    values: [roomNid, maxUnappliedRedactions],
  });
  const redactions = new Map<string, number[]>();
  for (const { event_id: id, redaction_nid: nid } of rows) {
    redactions.set(id, [...(redactions.get(id) ?? []), nid]);
  }
  return redactions;
};
