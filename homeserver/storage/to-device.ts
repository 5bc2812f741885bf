/** Messages between devices: their log section, and the tables `to_device_…`. */
import type { DeviceId, ServerName, UserId } from '../../spec/identifiers.ts';
import type { LogSection } from '../streams/log.ts';
import type { Db, Tx } from './database.ts';

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
  delivered: readonly { userId: UserId; deviceId: DeviceId; streamPos: number }[];
  outboundPositions: readonly number[];
}

interface Placed {
  user_id: UserId | null;
  device_id: DeviceId | null;
  pos: number;
}

export const toDeviceSection: LogSection<ToDeviceSend> = {
  name: 'to-device messages',
  needsTransaction: (rows) => rows.length > 1,
  async write(tx, rows) {
    let highest = 0;
    for (const row of rows) {
      const { rows: placed } = await tx.query<Placed>({
        name: 'log-to-device',
        text: `WITH fresh AS (
            INSERT INTO to_device_message_ids (source, message_id, received_at_ms)
            VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1
          ),
          input AS MATERIALIZED (
            SELECT d.user_id, d.device_id, m.event, nextval('stream_positions') AS pos
            FROM fresh, unnest($4::text[], $5::text[], $6::text[])
              AS m (user_id, device_id, event)
            JOIN devices d ON d.user_id = m.user_id AND m.device_id IN (d.device_id, '*')
          ),
          stored AS (
            INSERT INTO to_device_messages (user_id, device_id, stream_pos, event)
            SELECT user_id, device_id, pos, event FROM input
          ),
          sent AS MATERIALIZED (
            SELECT o.destination, o.content, nextval('stream_positions') AS pos
            FROM fresh, unnest($7::text[], $8::text[]) AS o (destination, content)
          ),
          edus AS (
            INSERT INTO outbound_edus (stream_pos, edu_type, content)
            SELECT pos, 'm.direct_to_device', content FROM sent
          ),
          destinations AS (
            INSERT INTO outbound_edu_destinations (destination, stream_pos)
            SELECT destination, pos FROM sent
          )
          SELECT user_id, device_id, pos FROM input
          UNION ALL SELECT NULL, NULL, pos FROM sent`,
        values: [
          row.source,
          row.messageId,
          row.receivedAtMs,
          row.local.map(({ userId }) => userId),
          row.local.map(({ deviceId }) => deviceId),
          row.local.map(({ event }) => event),
          row.remote.map(({ destination }) => destination),
          row.remote.map(({ content }) => content),
        ],
      });
      row.delivered = placed
        .flatMap(({ user_id: userId, device_id: deviceId, pos: streamPos }) =>
          userId === null || deviceId === null ? [] : [{ userId, deviceId, streamPos }],
        )
        .sort((a, b) => a.streamPos - b.streamPos);
      row.outboundPositions = placed
        .flatMap(({ user_id: userId, pos }) => (userId === null ? [pos] : []))
        .sort((a, b) => a - b);
      for (const { pos } of placed) highest = Math.max(highest, pos);
    }
    return highest;
  },
};

export interface ToDeviceMessage {
  readonly streamPos: number;
  /** JSON. */
  readonly event: string;
}

/** Messages for a device with `after < position <= upTo`, oldest first. */
export const toDeviceMessages = async (
  db: Db,
  userId: UserId,
  deviceId: DeviceId,
  after: number,
  upTo: number,
  limit: number,
): Promise<ToDeviceMessage[]> => {
  const { rows } = await db.query<{ stream_pos: number; event: string }>({
    name: 'to-device-messages',
    text: `SELECT stream_pos, event FROM to_device_messages
      WHERE user_id = $1 AND device_id = $2 AND stream_pos > $3 AND stream_pos <= $4
      ORDER BY stream_pos LIMIT $5`,
    values: [userId, deviceId, after, upTo, limit],
  });
  return rows.map((row) => ({ streamPos: row.stream_pos, event: row.event }));
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

/** Uses index to_device_message_ids_age. */
export const deleteMessageIdsBefore = async (tx: Tx, receivedAtMs: number): Promise<void> => {
  await tx.query({
    text: 'DELETE FROM to_device_message_ids WHERE received_at_ms < $1',
    values: [receivedAtMs],
  });
};
