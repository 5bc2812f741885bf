/** The form in which clients see devices. */
import { Type } from 'typebox';
import { DeviceIdSchema } from '../../homeserver/http/identifier-schemas.ts';
import type { Device } from '../../homeserver/storage/devices.ts';

export const DeviceReply = Type.Object({
  device_id: DeviceIdSchema,
  display_name: Type.String(),
  last_seen_ip: Type.String(),
  last_seen_ts: Type.Integer(),
});

/** Every field is there, because some clients (matrix-nio) refuse a device without one. */
export const deviceReply = (device: Device) => ({
  device_id: device.deviceId,
  display_name: device.displayName ?? '',
  last_seen_ip: device.lastSeenIp ?? '',
  last_seen_ts: device.lastSeenMs ?? device.createdAtMs,
});
