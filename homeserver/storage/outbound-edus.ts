/** The tables `outbound_edus` and `outbound_edu_destinations`: EDUs that may not be lost. */
import type { ServerName } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';
import { numberArray, records, textArray } from './array-parameters.ts';
import type { Db, Statement, Tx } from './database.ts';
import { dispatchedByAll } from './destinations.ts';
import type { Walk, WalkCursor, WalkStep } from './walk.ts';

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
  ...filledIn<NewOutboundEdu>('streamPos'),
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

/**
 * Lets go of all but the newest `max` of what waits for each server that fails now: of up to 20 servers
 * after the one named `after`, up to `limit` rows.
 */
export const trimEdusOfTheFailing = async (
  tx: Tx,
  max: number,
  limit: number,
  after: WalkCursor | undefined,
): Promise<WalkStep> => {
  const { rows } = await tx.query<{ last: string | null; looked_at: number; deleted: number }>({
    name: 'trim-edus-of-the-failing',
    text: `WITH page AS MATERIALIZED (
        SELECT destination FROM destinations
        WHERE destination > $3 AND failure_count > 0 ORDER BY destination LIMIT 20
      ),
      ends AS (
        SELECT p.destination, (SELECT o.stream_pos FROM outbound_edu_destinations o
          WHERE o.destination = p.destination ORDER BY o.stream_pos DESC OFFSET $1 LIMIT 1) AS upto
        FROM page p
      ),
      gone AS (
        DELETE FROM outbound_edu_destinations o USING (
          SELECT ends.destination, oldest.stream_pos FROM ends CROSS JOIN LATERAL (
            SELECT i.stream_pos FROM outbound_edu_destinations i
            WHERE i.destination = ends.destination AND i.stream_pos <= ends.upto
            ORDER BY i.stream_pos LIMIT $2) oldest
          LIMIT $2
        ) surplus
        WHERE o.destination = surplus.destination AND o.stream_pos = surplus.stream_pos RETURNING 1
      )
      SELECT (SELECT max(destination) FROM page) AS last, (SELECT count(*) FROM page) AS looked_at,
        (SELECT count(*) FROM gone) AS deleted`,
    values: [max, limit, after?.[0] ?? ''],
  });
  const row = rows[0];
  if (row === undefined || row.last === null) return { deleted: 0, next: undefined };
  // These servers have more.
  if (row.deleted === limit) return { deleted: limit, next: after ?? [''] };
  return { deleted: row.deleted, next: row.looked_at < 20 ? undefined : [row.last] };
};

/** What has arrived, and what waits for servers that have failed since before `beforeMs`. */
export const settledEduDestinations: Walk = {
  table: 'outbound_edu_destinations',
  key: [
    ['destination', 'text'],
    ['stream_pos', 'bigint'],
  ],
  gone: `t.stream_pos <= ${dispatchedByAll} AND NOT EXISTS (SELECT FROM destinations d
      WHERE d.destination = t.destination AND d.sent_pos < t.stream_pos)
    OR EXISTS (SELECT FROM destinations d WHERE d.destination = t.destination
      AND d.failure_count > 0 AND d.failing_since_ms < :beforeMs)`,
};

/** What has arrived everywhere. */
export const settledEdus: Walk = {
  table: 'outbound_edus',
  key: [['stream_pos', 'bigint']],
  gone: `t.stream_pos <= ${dispatchedByAll} AND NOT EXISTS (SELECT FROM outbound_edu_destinations o
    WHERE o.stream_pos = t.stream_pos)`,
};
