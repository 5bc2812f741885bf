/**
 * What becomes of keys when devices come and go, in the transaction of whoever makes or ends a
 * session: a server, which logs the change afterwards, or a command beside it, which leaves that to
 * the server.
 */
import { matrixError } from '../../spec/errors.ts';
import type { DeviceListener } from '../accounts/sessions.ts';
import { crossSigningKeysOf } from '../storage/cross-signing.ts';
import { deleteKeysOfDevices } from '../storage/device-keys.ts';
import { addUnloggedChanges } from '../storage/device-lists.ts';

export const recordDeviceChanges: Required<
  Pick<DeviceListener, 'deviceCreated' | 'deviceRenamed' | 'devicesDeleted'>
> = {
  async deviceCreated(tx, userId, deviceId) {
    // https://spec.matrix.org/v1.19/client-server-api/#key-and-signature-security
    const keys = await crossSigningKeysOf(tx, [userId]);
    if (keys.some(({ publicKey }) => publicKey === deviceId)) {
      throw matrixError('M_FORBIDDEN', 'This is the id of a cross-signing key');
    }
    await addUnloggedChanges(tx, userId, [deviceId]);
  },
  async deviceRenamed(tx, userId, deviceId) {
    await addUnloggedChanges(tx, userId, [deviceId]);
  },
  async devicesDeleted(tx, userId, deviceIds) {
    if (deviceIds.length === 0) return;
    await deleteKeysOfDevices(tx, userId, deviceIds);
    await addUnloggedChanges(tx, userId, deviceIds);
  },
};
