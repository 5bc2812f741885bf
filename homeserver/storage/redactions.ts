/** Redactions that were received before the event they redact. */
import type { Db } from './database.ts';

/** Target event ids to the nids of the redactions that name them. */
export const unappliedRedactions = async (
  db: Db,
  roomNid: number,
): Promise<Map<string, number[]>> => {
  const { rows } = await db.query<{ event_id: string; redaction_nid: number }>({
    name: 'unapplied-redactions',
    text: `SELECT event_id, redaction_nid FROM unapplied_redactions WHERE room_nid = $1
      ORDER BY redaction_nid LIMIT 10000`,
    values: [roomNid],
  });
  const redactions = new Map<string, number[]>();
  for (const { event_id: id, redaction_nid: nid } of rows) {
    redactions.set(id, [...(redactions.get(id) ?? []), nid]);
  }
  return redactions;
};
