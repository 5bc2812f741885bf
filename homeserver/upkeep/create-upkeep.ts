/** The clean-ups of this server, and what `/metrics` tells of them. */
import { Counter, type Registry } from 'prom-client';
import type { Sessions } from '../accounts/sessions.ts';
import type { Config } from '../config/schema.ts';
import type { Core } from '../core.ts';
import { atOwner } from '../owners.ts';
import { AbandonedRooms } from '../rooms/abandoned-rooms.ts';
import { abandonedRoomTasks, type EndOfRooms } from './abandoned-room-tasks.ts';
import { accountTasks } from './account-tasks.ts';
import { type EndOfDevices, unseenDevices } from './device-tasks.ts';
import { encryptionTasks } from './encryption-tasks.ts';
import { federationTasks } from './federation-tasks.ts';
import { roomTasks } from './room-tasks.ts';
import { Upkeep, type UpkeepDeps } from './upkeep.ts';
import { DAY_MS, type UpkeepTask } from './upkeep-task.ts';

/** What the configuration says about it. */
export interface UpkeepSettings {
  /** Undefined: rooms are kept for ever. */
  readonly endOfRooms?: EndOfRooms | undefined;
  /** Undefined: devices are never logged out for not being seen. */
  readonly endOfDevices?: EndOfDevices | undefined;
}

export const upkeepSettings = (
  { rooms, accounts }: Config,
  core: Core,
  sessions: Sessions,
): UpkeepSettings => ({
  endOfRooms:
    rooms.forgotten_kept_days === null
      ? undefined
      : {
          abandonedRooms: atOwner(core.owners, 'abandonedRooms', new AbandonedRooms(core), {
            end: ({ roomId }) => roomId,
          }),
          serverName: core.serverName,
          keptMs: rooms.forgotten_kept_days * DAY_MS,
        },
  endOfDevices:
    accounts.unseen_device_days === null
      ? undefined
      : { sessions, keptMs: accounts.unseen_device_days * DAY_MS },
});

export const upkeepTasks = ({
  endOfRooms,
  endOfDevices,
}: UpkeepSettings = {}): readonly UpkeepTask[] => [
  ...roomTasks,
  ...accountTasks,
  ...encryptionTasks,
  ...federationTasks,
  ...abandonedRoomTasks(endOfRooms),
  ...(endOfDevices === undefined ? [] : [unseenDevices(endOfDevices)]),
];

export const upkeepMetrics = (registry: Registry): NonNullable<UpkeepDeps['observe']> => {
  const deleted = new Counter({
    name: 'parley_upkeep_deleted_total',
    help: 'Rows deleted because they are of no use any more.',
    labelNames: ['task'],
    registers: [registry],
  });
  const seconds = new Counter({
    name: 'parley_upkeep_seconds',
    help: 'Time that upkeep has waited for the database.',
    labelNames: ['task'],
    registers: [registry],
  });
  return (task, count, took) => {
    deleted.inc({ task }, count);
    seconds.inc({ task }, took);
  };
};

export const createUpkeep = (
  deps: Omit<UpkeepDeps, 'tasks'>,
  settings: UpkeepSettings = {},
): Upkeep => new Upkeep({ ...deps, tasks: upkeepTasks(settings) });
