/** The tables `outbound_edus` and `outbound_edu_destinations`: EDUs that may not be lost. */
import type { ServerName } from '../../spec/identifiers.ts';
import type { LogSection } from '../streams/log.ts';
import type { Db, Tx } from './database.ts';

export interface OutboundEduRow {
  readonly streamPos: number;
  readonly type: string;
  /** JSON; see `outbound-edus.ts` for what is filled in. */
  readonly content: string;
}

export interface AddressedEduRow extends OutboundEduRow {
  readonly destinations: readonly ServerName[];
}

export interface NewOutboundEdu extends Omit<AddressedEduRow, 'streamPos'> {
  /** Filled in by the log. */
  streamPos: number;
}

/** EDUs that go with no other change. */
export const outboundEdusSection: LogSection<NewOutboundEdu> = {
  name: 'outbound EDUs',
  needsTransaction: (rows) => rows.length > 1,
  async write(tx, rows) {
    for (const row of rows) {
      const { rows: placed } = await tx.query<{ pos: number }>({
        name: 'log-outbound-edu',
        text: `WITH edu AS (
            INSERT INTO outbound_edus (stream_pos, edu_type, content)
            VALUES (nextval('stream_positions'), $1, $2) RETURNING stream_pos
          ),
          addressed AS (
            INSERT INTO outbound_edu_destinations (destination, stream_pos)
            SELECT d, stream_pos FROM edu, unnest($3::text[]) AS d
          )
          SELECT stream_pos AS pos FROM edu`,
        values: [row.type, row.content, row.destinations],
      });
      row.streamPos = (placed[0] as { pos: number }).pos;
    }
    return Math.max(...rows.map(({ streamPos }) => streamPos));
  },
};

interface EduRecord {
  stream_pos: number;
  edu_type: string;
  content: string;
}

const toRow = (row: EduRecord): OutboundEduRow => ({
  streamPos: row.stream_pos,
  type: row.edu_type,
  content: row.content,
});

/** With `after < position <= upTo`, oldest first. */
export const outboundEdus = async (
  db: Db,
  after: number,
  upTo: number,
  limit: number,
): Promise<AddressedEduRow[]> => {
  const { rows } = await db.query<EduRecord & { destinations: ServerName[] }>({
    name: 'outbound-edus',
    text: `SELECT e.stream_pos, e.edu_type, e.content, ARRAY(
        SELECT d.destination FROM outbound_edu_destinations d WHERE d.stream_pos = e.stream_pos
      ) AS destinations
      FROM outbound_edus e WHERE e.stream_pos > $1 AND e.stream_pos <= $2
      ORDER BY e.stream_pos LIMIT $3`,
    values: [after, upTo, limit],
  });
  return rows.map((row) => ({ ...toRow(row), destinations: row.destinations }));
};

/** The same for one server. */
export const outboundEdusFor = async (
  db: Db,
  destination: ServerName,
  after: number,
  upTo: number,
  limit: number,
): Promise<OutboundEduRow[]> => {
  const { rows } = await db.query<EduRecord>({
    name: 'outbound-edus-for',
    text: `SELECT e.stream_pos, e.edu_type, e.content
      FROM outbound_edu_destinations d JOIN outbound_edus e USING (stream_pos)
      WHERE d.destination = $1 AND d.stream_pos > $2 AND d.stream_pos <= $3
      ORDER BY d.stream_pos LIMIT $4`,
    values: [destination, after, upTo, limit],
  });
  return rows.map(toRow);
};

/** Deletes what has arrived everywhere. */
export const deleteDeliveredEdus = async (tx: Tx): Promise<void> => {
  const dispatched = '(SELECT coalesce(min(dispatched_pos), 0) FROM federation_senders)';
  await tx.query({
    text: `DELETE FROM outbound_edu_destinations o WHERE o.stream_pos <= ${dispatched}
      AND NOT EXISTS (SELECT 1 FROM destinations d
        WHERE d.destination = o.destination AND d.sent_pos < o.stream_pos)`,
  });
  await tx.query({
    text: `DELETE FROM outbound_edus e WHERE e.stream_pos <= ${dispatched}
      AND NOT EXISTS (SELECT 1 FROM outbound_edu_destinations o
        WHERE o.stream_pos = e.stream_pos)`,
  });
};
