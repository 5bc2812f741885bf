/** What rooms leave behind. */
import { noteLogTime } from '../storage/log-times.ts';
import { idleReceipts } from '../storage/receipts.ts';
import { idleUnreadCounts } from '../storage/unread-counts.ts';
import { DAY_MS, HOUR_MS, type UpkeepTask, walking } from './upkeep-task.ts';

export const roomTasks: readonly UpkeepTask[] = [
  {
    name: 'log times',
    tables: ['log_times'],
    everyMs: HOUR_MS,
    maxRows: 1,
    step: async (tx, { nowMs }) => ({ deleted: await noteLogTime(tx, nowMs), next: undefined }),
  },
  walking({ name: 'unread counts', everyMs: DAY_MS }, idleUnreadCounts),
  walking({ name: 'receipts', everyMs: DAY_MS, olderThanMs: 30 * DAY_MS }, idleReceipts),
];
