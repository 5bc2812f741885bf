/** The tables `outbound_edus` and `outbound_edu_destinations`: EDUs that may not be lost. */
import type { ServerName } from '../../spec/identifiers.ts';
import type { LogSection } from '../streams/log.ts';
import { numberArray, records, textArray } from './array-parameters.ts';
import type { Db, Statement, Tx } from './database.ts';

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

/** Destinations of one statement, a single EDU that has more apart. */
const maxAddressesAtOnce = 20_000;

/** EDUs that go with no other change. */
export const outboundEdusSection: LogSection<NewOutboundEdu> = {
  name: 'outbound EDUs',
  needsTransaction: (rows) => statementsFor(rows).length > 1,
  async write(tx, rows) {
    for (const edus of statementsFor(rows)) {
      const { rows: placed } = await tx.query<{ pos: number }>(insertion(edus));
      for (const [index, edu] of edus.entries()) {
        edu.streamPos = (placed[index] as { pos: number }).pos;
      }
    }
    return Math.max(...rows.map(({ streamPos }) => streamPos));
  },
};

/** In their order, so many to a statement as make one of bearable size. */
const statementsFor = (rows: readonly NewOutboundEdu[]): NewOutboundEdu[][] => {
  const statements: NewOutboundEdu[][] = [];
  let addresses = 0;
  for (const row of rows) {
    const current = statements.at(-1);
    if (current === undefined || addresses + row.destinations.length > maxAddressesAtOnce) {
      statements.push([row]);
      addresses = 0;
    } else {
      current.push(row);
    }
    addresses += row.destinations.length;
  }
  return statements;
};

/** Positions rise in the order of the EDUs. */
const insertion = (edus: readonly NewOutboundEdu[]): Statement => {
  const addresses = edus.flatMap(({ destinations }, index) =>
    destinations.map((destination) => ({ nth: index + 1, destination })),
  );
  return {
    name: 'log-outbound-edus',
    text: `WITH input AS MATERIALIZED (
        SELECT nth, edu_type, content, nextval('stream_positions') AS pos FROM (
          SELECT * FROM unnest($1::text[], string_to_array($2, E'\\x1e'))
            WITH ORDINALITY AS e (edu_type, content, nth)
          ORDER BY nth
        ) AS ordered
      ),
      edus AS (
        INSERT INTO outbound_edus (stream_pos, edu_type, content)
        SELECT pos, edu_type, content FROM input
      ),
      addressed AS (
        INSERT INTO outbound_edu_destinations (destination, stream_pos)
        SELECT a.destination, i.pos
        FROM unnest($3::bigint[], $4::text[]) AS a (nth, destination) JOIN input i USING (nth)
      )
      SELECT pos FROM input ORDER BY pos`,
    values: [
      textArray(edus, ({ type }) => type),
      records(edus, ({ content }) => content),
      numberArray(addresses, ({ nth }) => nth),
      textArray(addresses, ({ destination }) => destination),
    ],
  };
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

/** What is kept for a server that does not come back. */
export interface EduBounds {
  /** Servers that have failed since before this time get nothing that waits. */
  readonly failingSinceBeforeMs: number;
  /** For one that fails no more than the newest so many are kept. */
  readonly maxPerDestination: number;
}

/**
 * Lets go of what waits for servers that have been away for long. Looks only at those that fail now.
 * Returns how much was let go of.
 */
export const deleteEdusOfTheAway = async (tx: Tx, bounds: EduBounds): Promise<number> => {
  const { rows } = await tx.query<{ deleted: number }>({
    text: `WITH ends AS (
        SELECT d.destination, CASE
          WHEN d.failing_since_ms < $1 THEN (
            SELECT max(o.stream_pos) FROM outbound_edu_destinations o
            WHERE o.destination = d.destination)
          ELSE (
            SELECT o.stream_pos FROM outbound_edu_destinations o
            WHERE o.destination = d.destination ORDER BY o.stream_pos DESC OFFSET $2 LIMIT 1)
          END AS upto
        FROM destinations d WHERE d.failure_count > 0
      ),
      gone AS (
        DELETE FROM outbound_edu_destinations o USING ends
        WHERE o.destination = ends.destination AND o.stream_pos <= ends.upto RETURNING 1
      )
      SELECT count(*)::int AS deleted FROM gone`,
    values: [bounds.failingSinceBeforeMs, bounds.maxPerDestination],
  });
  return rows[0]?.deleted ?? 0;
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
