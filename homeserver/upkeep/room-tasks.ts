/** What rooms leave behind. */
import { noteLogTime } from '../storage/log-times.ts';
import { idleReceipts } from '../storage/receipts.ts';
import { deleteReplacedChanges } from '../storage/state-changes.ts';
import { idleUnreadCounts } from '../storage/unread-counts.ts';
import { DAY_MS, HOUR_MS, type UpkeepTask, walking } from './upkeep-task.ts';

/** A client that has been away for longer gets whole states. */
const STATE_CHANGES_KEPT_MS = 90 * DAY_MS;

export const roomTasks: readonly UpkeepTask[] = [
  {
    name: 'log times',
    tables: ['log_times'],
    everyMs: HOUR_MS,
    maxRows: 1,
    step: async (tx, { nowMs }) => ({ deleted: await noteLogTime(tx, nowMs), next: undefined }),
  },
  {
    name: 'state changes',
    tables: ['state_changes'],
    everyMs: DAY_MS,
    maxRows: 500,
    step: (tx, { nowMs, limit, after }) =>
      deleteReplacedChanges(tx, nowMs - STATE_CHANGES_KEPT_MS, limit, after),
  },
  walking({ name: 'unread counts', everyMs: DAY_MS }, idleUnreadCounts),
  walking({ name: 'receipts', everyMs: DAY_MS, olderThanMs: 30 * DAY_MS }, idleReceipts),
];
