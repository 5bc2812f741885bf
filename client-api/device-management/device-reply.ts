/** The form in which clients see devices. */
import { Type } from 'typebox';
import { DeviceIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import type { Device } from '../../homeserver/storage/devices.ts';

export const DeviceReply = Type.Object({
  device_id: DeviceIdSchema,
  display_name: Type.Optional(Type.String()),
  last_seen_ip: Type.Optional(Type.String()),
  last_seen_ts: Type.Optional(Type.Integer()),
});

export const deviceReply = ({ deviceId, displayName, lastSeenIp, lastSeenMs }: Device) => ({
  device_id: deviceId,
  ...(displayName === undefined ? {} : { display_name: displayName }),
  ...(lastSeenIp === undefined ? {} : { last_seen_ip: lastSeenIp }),
  ...(lastSeenMs === undefined ? {} : { last_seen_ts: lastSeenMs }),
});
