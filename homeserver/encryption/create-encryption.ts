/** End-to-end encryption on the core: everything about keys and messages between devices. */
import type { Logger } from 'pino';
import type { ServerName } from '../../spec/identifiers.ts';
import type { DeviceListener } from '../accounts/sessions.ts';
import type { Clock } from '../clock.ts';
import type { RateLimits } from '../http/rate-limits.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Random } from '../random.ts';
import type { RoomObserver } from '../rooms/room-observer.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import type { Database } from '../storage/database.ts';
import type { Broadcast } from '../streams/broadcast.ts';
import type { Log } from '../streams/log.ts';
import type { Notifier } from '../streams/notifier.ts';
import { ClaimLimits } from './claim-limits.ts';
import { CrossSigning } from './cross-signing.ts';
import { recordDeviceChanges } from './device-changes.ts';
import { DeviceKeys } from './device-keys.ts';
import { DeviceLists } from './device-lists.ts';
import { KeyBackups } from './key-backups.ts';
import { KeyDirectory } from './key-directory.ts';
import { KeyQueries } from './key-queries.ts';
import { OutboundEdus } from './outbound-edus.ts';
import { RemoteDeviceLists } from './remote-device-lists.ts';
import type { RemoteKeys } from './remote-keys.ts';
import { ToDevice } from './to-device.ts';

export interface EncryptionDeps {
  readonly broadcast: Broadcast;
  readonly db: Database;
  readonly log: Log;
  readonly logger: Logger;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly userRooms: UserRooms;
  readonly registry: RoomRegistry;
  readonly observer: RoomObserver;
  /** No limits on claims of keys without. */
  readonly limits: RateLimits | undefined;
  readonly budget: MemoryBudget;
  /** Whether people are told what the devices of others are called. */
  readonly showsDeviceNames: boolean;
}

export interface Encryption {
  readonly directory: KeyDirectory;
  readonly deviceKeys: DeviceKeys;
  readonly deviceLists: DeviceLists;
  readonly remoteLists: RemoteDeviceLists;
  readonly keyQueries: KeyQueries;
  readonly crossSigning: CrossSigning;
  readonly keyBackups: KeyBackups;
  readonly toDevice: ToDevice;
  readonly outboundEdus: OutboundEdus;
  /** For accounts: what hangs on a device comes and goes with it. */
  readonly deviceListener: DeviceListener;
  /** Gives it the way to other servers. */
  askThrough(remote: RemoteKeys): void;
  /** Takes the newest of each stream after a position into memory. */
  fill(after: number): Promise<void>;
  /** Memory may be wrong: nothing up to this position is answered from it. */
  reset(position: number): void;
  close(): Promise<void>;
}

const resyncEveryMs = 30_000;

export const createEncryption = (deps: EncryptionDeps): Encryption => {
  const { db, logger, observer } = deps;
  const directory = new KeyDirectory(db, { showsNames: deps.showsDeviceNames });
  const outboundEdus = new OutboundEdus({ ...deps, directory });
  const deviceLists = new DeviceLists({ ...deps, outbound: outboundEdus });
  const claimLimits = new ClaimLimits(deps);
  const deviceKeys = new DeviceKeys({ ...deps, deviceLists, claimLimits });
  const remoteLists = new RemoteDeviceLists({ ...deps, deviceLists });
  const keyQueries = new KeyQueries({ ...deps, directory, deviceKeys, remoteLists });
  const toDevice = new ToDevice({ ...deps, outbound: outboundEdus });
  observer.onAppended((room, _events, write, isOurs) =>
    deviceLists.followRoom(room.nid, write, isOurs),
  );
  observer.onUnseen((write) => deviceLists.followRoom(write.roomNid, write, false));
  // What was changed just before the last stop.
  void deviceLists.logUnlogged();
  const resyncing = setInterval(() => {
    remoteLists.resync().catch((error: unknown) => {
      logger.warn({ err: error }, 'stale device lists could not be fetched');
    });
  }, resyncEveryMs).unref();

  const deviceListener: DeviceListener = {
    async deviceCreated(tx, userId, deviceId) {
      await recordDeviceChanges.deviceCreated(tx, userId, deviceId);
      tx.onCommit(() => deviceLists.logUnlogged());
    },
    async deviceRenamed(tx, userId, deviceId) {
      await recordDeviceChanges.deviceRenamed(tx, userId, deviceId);
      tx.onCommit(() => deviceLists.logUnlogged());
    },
    async devicesDeleted(tx, userId, deviceIds) {
      await recordDeviceChanges.devicesDeleted(tx, userId, deviceIds);
      tx.onCommit(() => {
        deviceKeys.forget(userId, deviceIds);
        return deviceLists.logUnlogged();
      });
    },
    changedElsewhere: () => deviceLists.logUnlogged(),
  };

  return {
    directory,
    deviceKeys,
    deviceLists,
    remoteLists,
    keyQueries,
    crossSigning: new CrossSigning({ db, deviceLists }),
    keyBackups: new KeyBackups(db),
    toDevice,
    outboundEdus,
    deviceListener,
    askThrough: (remote) => {
      remoteLists.askThrough(remote);
      keyQueries.askThrough(remote);
    },
    fill: async (after) => {
      await Promise.all([deviceLists.fill(after), toDevice.fill(), outboundEdus.fill()]);
    },
    reset: (position) => {
      outboundEdus.reset(position);
      deviceLists.reset(position);
      deviceKeys.reset();
      toDevice.reset(position);
    },
    close: async () => {
      clearInterval(resyncing);
      await remoteLists.idle();
      await deviceLists.close();
    },
  };
};
