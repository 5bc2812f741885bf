/** Devices that nobody uses any more. */
import type { Sessions } from '../accounts/sessions.ts';
import { devicesAfter } from '../storage/devices.ts';
import { DAY_MS, type UpkeepTask } from './upkeep-task.ts';

/** Everyone who shares a room is told of each: many at once would be a flood. */
const MAX_AT_ONCE = 5;

export interface EndOfDevices {
  readonly sessions: Pick<Sessions, 'close'>;
  /** From when a device was last seen. */
  readonly keptMs: number;
}

/** Logs them out, as their owner would. */
export const unseenDevices = ({ sessions, keptMs }: EndOfDevices): UpkeepTask => ({
  name: 'unseen devices',
  tables: ['devices'],
  everyMs: DAY_MS,
  maxRows: 500,
  async step(tx, { nowMs, limit, after }) {
    const from = after as readonly [string, string] | undefined;
    const page = await devicesAfter(tx, from, nowMs - keptMs, limit);
    let deleted = 0;
    for (const { userId, deviceId, isUnseen } of page) {
      if (!isUnseen) continue;
      await sessions.close(tx, userId, [deviceId]);
      deleted += 1;
      if (deleted === MAX_AT_ONCE) return { deleted, next: [userId, deviceId] };
    }
    const last = page.at(-1);
    const isEnd = last === undefined || page.length < limit;
    return { deleted, next: isEnd ? undefined : [last.userId, last.deviceId] };
  },
});
