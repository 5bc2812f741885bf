/**
 * A person's view of their devices.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#device-management
 */
import { matrixError } from '../../spec/errors.ts';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Database } from '../storage/database.ts';
import {
  type Device,
  deviceById,
  devicesOf,
  ensureDevice,
  renameDevice,
} from '../storage/devices.ts';
import type { PassedUia } from './interactive-auth.ts';
import {
  assertNewDeviceId,
  type DeviceListener,
  deviceDisplayName,
  type Sessions,
} from './sessions.ts';

export interface DevicesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly sessions: Sessions;
  readonly listeners: readonly DeviceListener[];
}

export class Devices {
  readonly #options: DevicesOptions;

  constructor(options: DevicesOptions) {
    this.#options = options;
  }

  list(userId: UserId): Promise<Device[]> {
    return devicesOf(this.#options.database, userId);
  }

  get(userId: UserId, deviceId: DeviceId): Promise<Device | undefined> {
    return deviceById(this.#options.database, userId, deviceId);
  }

  /** An undefined name leaves the device as it is. Throws `M_NOT_FOUND`. */
  async rename(userId: UserId, deviceId: DeviceId, name: string | undefined): Promise<void> {
    const { database, listeners } = this.#options;
    const found = await database.transaction(async (tx) => {
      if (name === undefined) return (await deviceById(tx, userId, deviceId)) !== undefined;
      const renamed = await renameDevice(tx, userId, deviceId, deviceDisplayName(name));
      if (renamed) {
        for (const listener of listeners) await listener.deviceRenamed?.(tx, userId, deviceId);
      }
      return renamed;
    });
    if (!found) throw matrixError('M_NOT_FOUND', 'There is no such device');
  }

  /**
   * A device without tokens, for an application service. `false` when it exists. Throws
   * `M_INVALID_PARAM`.
   */
  create(userId: UserId, deviceId: DeviceId, name: string | undefined): Promise<boolean> {
    const { database, clock, sessions } = this.#options;
    assertNewDeviceId(deviceId);
    return database.transaction(async (tx) => {
      const displayName = name && deviceDisplayName(name);
      const made = await ensureDevice(tx, userId, deviceId, displayName, clock.nowMs());
      if (made) await sessions.deviceMade(tx, userId, deviceId);
      return made;
    });
  }

  /** Ends their sessions too. Devices that do not exist are passed over. */
  async delete(
    userId: UserId,
    deviceIds: readonly DeviceId[],
    passed: PassedUia | undefined,
  ): Promise<void> {
    const { database, sessions } = this.#options;
    await database.transaction(async (tx) => {
      await passed?.finish(tx);
      await sessions.close(tx, userId, deviceIds);
    });
  }

  async deleteAll(userId: UserId): Promise<void> {
    const { database, sessions } = this.#options;
    await database.transaction((tx) => sessions.closeAll(tx, userId));
  }
}
