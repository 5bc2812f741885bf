/** Messages between devices: their log section, and the tables `to_device_…`. */
import type { DeviceId, ServerName, UserId } from '../../spec/identifiers.ts';
import { filledIn, type LogSection } from '../streams/log-batch.ts';
import { numberArray, records, textArray } from './array-parameters.ts';
import type { Db, Statement } from './database.ts';
import type { Expiry, Walk } from './walk.ts';

/** What one request sends, at once or not at all. */
export interface ToDeviceSend {
  /** A source sends nothing twice under one message id. */
  readonly source: string;
  readonly messageId: string;
  readonly receivedAtMs: number;
  /** Events as clients get them, in JSON. Device id `*`: all of the user's devices. */
  readonly local: readonly {
    readonly userId: UserId;
    readonly deviceId: string;
    readonly event: string;
  }[];
  /** Contents of `m.direct_to_device`. */
  readonly remote: readonly { readonly destination: ServerName; readonly content: string }[];
  /** Filled in by the log: empty when this was sent before. */
  delivered: readonly {
    userId: UserId;
    deviceId: DeviceId;
    streamPos: number;
    bytes: number;
  }[];
  outboundPositions: readonly number[];
}

interface Placed {
  /** Counts the sends of a statement from 1. */
  send: number;
  user_id: UserId | null;
  device_id: DeviceId | null;
  bytes: number;
  pos: number;
}

/** What goes into one statement, a single larger send apart. */
const maxMessagesAtOnce = 5_000;
const maxBytesAtOnce = 4_000_000;

export const toDeviceSection: LogSection<ToDeviceSend> = {
  name: 'to-device messages',
  ...filledIn<ToDeviceSend>('delivered', 'outboundPositions'),
  needsTransaction: (rows) => statementsFor(rows).length > 1,
  async write(tx, rows) {
    let highest = 0;
    for (const sends of statementsFor(rows)) {
      const { rows: placed } = await tx.query<Placed>(insertion(withoutRepeats(sends)));
      for (const { pos } of placed) highest = Math.max(highest, pos);
      follow(withoutRepeats(sends), placed);
    }
    return highest;
  },
};

/** Sends in their order, so many to a statement as make one of bearable size. */
const statementsFor = (rows: readonly ToDeviceSend[]): ToDeviceSend[][] => {
  const statements: ToDeviceSend[][] = [];
  let messages = 0;
  let bytes = 0;
  for (const row of rows) {
    const rowMessages = row.local.length + row.remote.length;
    let rowBytes = 0;
    for (const { event } of row.local) rowBytes += event.length;
    for (const { content } of row.remote) rowBytes += content.length;
    const fits = messages + rowMessages <= maxMessagesAtOnce && bytes + rowBytes <= maxBytesAtOnce;
    const current = statements.at(-1);
    if (current === undefined || !fits) {
      statements.push([row]);
      messages = 0;
      bytes = 0;
    } else {
      current.push(row);
    }
    messages += rowMessages;
    bytes += rowBytes;
  }
  return statements;
};

/** A device may repeat itself before its first answer, so that both are written together. */
const withoutRepeats = (sends: readonly ToDeviceSend[]): ToDeviceSend[] => {
  const known = new Set<string>();
  return sends.filter(({ source, messageId }) => {
    const key = `${source} ${messageId}`;
    return known.size !== known.add(key).size;
  });
};

/** Positions rise in the order of the sends, and in each in that of its messages. */
const insertion = (sends: readonly ToDeviceSend[]): Statement => {
  const local = sends.flatMap((each, index) =>
    each.local.map((message) => ({ send: index + 1, ...message })),
  );
  const remote = sends.flatMap((each, index) =>
    each.remote.map((message) => ({ send: index + 1, ...message })),
  );
  return {
    name: 'log-to-device',
    text: `WITH fresh AS (
        INSERT INTO to_device_message_ids (source, message_id, received_at_ms)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
        ON CONFLICT DO NOTHING RETURNING source, message_id
      ),
      sends AS MATERIALIZED (
        SELECT s.send
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (source, message_id, send)
        JOIN fresh USING (source, message_id)
      ),
      input AS MATERIALIZED (
        SELECT send, user_id, device_id, event, nextval('stream_positions') AS pos FROM (
          SELECT m.send, d.user_id, d.device_id, m.event
          FROM unnest($4::bigint[], $5::text[], $6::text[], string_to_array($7, E'\\x1e'))
            WITH ORDINALITY AS m (send, user_id, device_id, event, nth)
          JOIN sends USING (send)
          JOIN devices d ON d.user_id = m.user_id AND m.device_id IN (d.device_id, '*')
          ORDER BY m.nth, d.device_id
        ) AS ordered
      ),
      stored AS (
        INSERT INTO to_device_messages (user_id, device_id, stream_pos, event)
        SELECT user_id, device_id, pos, event FROM input
      ),
      sent AS MATERIALIZED (
        SELECT send, destination, content, nextval('stream_positions') AS pos FROM (
          SELECT o.send, o.destination, o.content
          FROM unnest($8::bigint[], $9::text[], string_to_array($10, E'\\x1e'))
            WITH ORDINALITY AS o (send, destination, content, nth)
          JOIN sends USING (send)
          ORDER BY o.nth
        ) AS ordered
      ),
      edus AS (
        INSERT INTO outbound_edus (stream_pos, edu_type, content)
        SELECT pos, 'm.direct_to_device', content FROM sent
      ),
      destinations AS (
        INSERT INTO outbound_edu_destinations (destination, stream_pos)
        SELECT destination, pos FROM sent
      )
      SELECT send, user_id, device_id, octet_length(event) AS bytes, pos FROM input
      UNION ALL SELECT send, NULL, NULL, 0, pos FROM sent
      ORDER BY pos`,
    values: [
      textArray(sends, ({ source }) => source),
      textArray(sends, ({ messageId }) => messageId),
      numberArray(sends, ({ receivedAtMs }) => receivedAtMs),
      numberArray(local, ({ send }) => send),
      textArray(local, ({ userId }) => userId),
      textArray(local, ({ deviceId }) => deviceId),
      records(local, ({ event }) => event),
      numberArray(remote, ({ send }) => send),
      textArray(remote, ({ destination }) => destination),
      records(remote, ({ content }) => content),
    ],
  };
};

/** Rising positions, each to its send. */
const follow = (sends: readonly ToDeviceSend[], placed: readonly Placed[]): void => {
  const places = sends.map((send) => ({
    send,
    delivered: [] as ToDeviceSend['delivered'][number][],
    outboundPositions: [] as number[],
  }));
  for (const { send, user_id: userId, device_id: deviceId, bytes, pos } of placed) {
    const place = places[send - 1];
    if (userId === null || deviceId === null) place?.outboundPositions.push(pos);
    else place?.delivered.push({ userId, deviceId, streamPos: pos, bytes });
  }
  for (const { send, delivered, outboundPositions } of places) {
    send.delivered = delivered;
    send.outboundPositions = outboundPositions;
  }
};

export interface ToDeviceMessage {
  readonly streamPos: number;
  /** JSON. */
  readonly event: string;
}

/**
 * Messages for a device with `after < position <= upTo`, oldest first: at most `limit.messages`, and
 * `limit.bytes` unless the first alone is larger. `isAll` when there are no more.
 */
export const toDeviceMessages = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
  after: number,
  upTo: number,
  limit: { readonly messages: number; readonly bytes: number },
): Promise<{ messages: ToDeviceMessage[]; isAll: boolean }> => {
  const { rows } = await db.query<{ stream_pos: number; event: string; looked_at: number }>({
    name: 'to-device-messages',
    text: `SELECT stream_pos, event, looked_at FROM (
        SELECT stream_pos, event, count(*) OVER () AS looked_at,
          sum(octet_length(event)) OVER so_far AS bytes, row_number() OVER so_far AS nth
        FROM (
          SELECT stream_pos, event FROM to_device_messages
          WHERE user_id = $1 AND device_id = $2 AND stream_pos > $3 AND stream_pos <= $4
          ORDER BY stream_pos LIMIT $5
        ) AS oldest
        WINDOW so_far AS (ORDER BY stream_pos)
      ) AS weighed
      WHERE bytes <= $6 OR nth = 1
      ORDER BY stream_pos`,
    values: [userId, deviceId, after, upTo, limit.messages, limit.bytes],
  });
  return {
    messages: rows.map((row) => ({ streamPos: row.stream_pos, event: row.event })),
    isAll: rows.length < limit.messages && rows.length === (rows[0]?.looked_at ?? 0),
  };
};

/**
 * The server in an event's `sender`. PostgreSQL refuses to look into JSON that holds what its texts
 * cannot; within a string of the event the quotes of this would have backslashes.
 */
const senderServerPattern = '"sender":"@[^:"]*:([^"]*)"';

/**
 * Deletes what a device's queue has beyond these bounds. Each sending server keeps its newest, as many
 * as every other: one that floods the queue loses its own messages, and the rest goes oldest first.
 * @returns how many were deleted
 */
export const trimToDeviceMessages = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
  max: { readonly messages: number; readonly bytes: number },
): Promise<number> => {
  const { rowCount } = await db.query({
    name: 'trim-to-device-messages',
    text: `DELETE FROM to_device_messages d
      USING (
        SELECT stream_pos, row_number() OVER fair AS nth, sum(bytes) OVER fair AS bytes
        FROM (
          SELECT stream_pos, octet_length(event) AS bytes,
            row_number() OVER (PARTITION BY substring(event FROM $5)
              ORDER BY stream_pos DESC) AS nth_of_server
          FROM to_device_messages WHERE user_id = $1 AND device_id = $2
        ) AS by_server
        WINDOW fair AS (ORDER BY nth_of_server, stream_pos DESC)
      ) AS ranked
      WHERE d.user_id = $1 AND d.device_id = $2 AND d.stream_pos = ranked.stream_pos
        AND (ranked.nth > $3 OR ranked.bytes > $4)`,
    values: [userId, deviceId, max.messages, max.bytes, senderServerPattern],
  });
  return rowCount;
};

/** What the device has got. */
export const deleteToDeviceMessages = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
  upTo: number,
): Promise<void> => {
  await db.query({
    name: 'delete-to-device-messages',
    text: `DELETE FROM to_device_messages
      WHERE user_id = $1 AND device_id = $2 AND stream_pos <= $3`,
    values: [userId, deviceId, upTo],
  });
};

/** `$1`: received before then. Uses index to_device_message_ids_age. */
export const oldMessageIds: Expiry = {
  table: 'to_device_message_ids',
  gone: 'received_at_ms < $1',
  order: 'received_at_ms',
};

/** Of devices that do not come, and of those that are no more; `beforePos`: up to there. */
export const oldToDeviceMessages: Walk = {
  table: 'to_device_messages',
  key: [
    ['user_id', 'text'],
    ['device_id', 'text'],
    ['stream_pos', 'bigint'],
  ],
  gone: `t.stream_pos <= :beforePos OR NOT EXISTS (
    SELECT FROM devices d WHERE d.user_id = t.user_id AND d.device_id = t.device_id)`,
};
