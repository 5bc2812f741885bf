/** Sync with every stream it reads: the one list of them. */
import type { Core } from '../core.ts';
import { StoredRooms } from '../rooms/stored-rooms.ts';
import { AccountDataStream } from './account-data-stream.ts';
import { DeviceKeysStream } from './device-keys-stream.ts';
import { FreshRooms } from './fresh-rooms.ts';
import { PresenceStream } from './presence-stream.ts';
import { PushRulesStream } from './push-rules-stream.ts';
import { ReceiptsStream } from './receipts-stream.ts';
import { RoomStateReader } from './room-state-reader.ts';
import { RoomsStream } from './rooms-stream.ts';
import { SummaryReader } from './summary-reader.ts';
import { Sync } from './sync.ts';
import { ToDeviceStream } from './to-device-stream.ts';
import { TypingStream } from './typing-stream.ts';
import { UnreadStream } from './unread-stream.ts';

export const createSync = (core: Core): Sync => {
  const { database: db, events, snapshots, registry, activity, timeline, access } = core;
  return new Sync({
    log: core.log,
    notifier: core.notifier,
    userRooms: core.userRooms,
    clock: core.clock,
    streams: [
      new RoomsStream({
        db,
        registry,
        activity,
        timeline,
        events,
        access,
        clientEvents: core.clientEvents,
        aggregations: core.aggregations,
        state: new RoomStateReader(db, events, snapshots),
        summaries: new SummaryReader(events),
        fresh: new FreshRooms(events, snapshots),
        stored: new StoredRooms(core),
      }),
      new ReceiptsStream(core.receipts, core.notifier),
      new TypingStream(core.typing, core.notifier),
      new PresenceStream(core.presence, core.clock),
      new AccountDataStream(core.accountData),
      new PushRulesStream(core.pushRules),
      new UnreadStream(core.unreadCounts, activity, core.receipts),
      new DeviceKeysStream(core.encryption.deviceLists, core.encryption.deviceKeys),
      new ToDeviceStream(core.encryption.toDevice),
    ],
    ephemeralSerials: () => ({ typing: core.typing.serial, presence: core.presence.serial }),
    roomsChangedAfter: (position, maxChanges) => {
      const eventful = core.activity.roomsChangedAfter(position, maxChanges);
      const read = core.receipts.roomsChangedAfter(position, maxChanges);
      if (eventful === undefined || read === undefined) return undefined;
      return read.size === 0 ? eventful : new Set([...eventful, ...read]);
    },
    isInMemory: (position) => core.activity.knows(position) && core.receipts.knows(position),
    ignoredUsers: (userId) => core.accountData.ignoredUsers(userId),
  });
};
