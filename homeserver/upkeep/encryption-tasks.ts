/** Messages and keys that nobody fetches any more. */
import {
  unlistedCrossSigningKeys,
  unlistedRemoteDevices,
  unmetDeviceLists,
  unmetDeviceListUsers,
} from '../storage/remote-devices.ts';
import { oldMessageIds, oldToDeviceMessages } from '../storage/to-device.ts';
import { DAY_MS, expiring, MINUTE_MS, type UpkeepTask, walking } from './upkeep-task.ts';

/** A message sent twice within this time arrives once. */
const MESSAGE_IDS_KEPT_MS = 7 * DAY_MS;
/** A device that comes back later begins its sessions anew. */
const MESSAGES_KEPT_MS = 90 * DAY_MS;
/** They are fetched again when somebody meets the user again. */
const DEVICE_LISTS_KEPT_MS = 7 * DAY_MS;

export const encryptionTasks: readonly UpkeepTask[] = [
  expiring({ name: 'to-device message ids', everyMs: 10 * MINUTE_MS }, oldMessageIds, (nowMs) => [
    nowMs - MESSAGE_IDS_KEPT_MS,
  ]),
  walking(
    { name: 'to-device messages', everyMs: DAY_MS, olderThanMs: MESSAGES_KEPT_MS },
    oldToDeviceMessages,
  ),
  walking(
    { name: 'remote device lists', everyMs: DAY_MS, olderThanMs: DEVICE_LISTS_KEPT_MS },
    unmetDeviceLists,
  ),
  walking({ name: 'remote devices', everyMs: DAY_MS }, unlistedRemoteDevices),
  walking({ name: 'cross-signing keys', everyMs: DAY_MS }, unlistedCrossSigningKeys),
  // Clients that have been away for longer ask for all keys.
  walking(
    { name: 'device list changes', everyMs: DAY_MS, olderThanMs: 90 * DAY_MS },
    unmetDeviceListUsers,
  ),
];
