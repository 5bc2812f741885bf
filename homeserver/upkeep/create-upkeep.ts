/** The clean-ups of this server, and what `/metrics` tells of them. */
import { Counter, type Registry } from 'prom-client';
import { accountTasks } from './account-tasks.ts';
import { encryptionTasks } from './encryption-tasks.ts';
import { federationTasks } from './federation-tasks.ts';
import { roomTasks } from './room-tasks.ts';
import { Upkeep, type UpkeepDeps } from './upkeep.ts';
import type { UpkeepTask } from './upkeep-task.ts';

export const upkeepTasks: readonly UpkeepTask[] = [
  ...roomTasks,
  ...accountTasks,
  ...encryptionTasks,
  ...federationTasks,
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

export const createUpkeep = (deps: Omit<UpkeepDeps, 'tasks'>): Upkeep =>
  new Upkeep({ ...deps, tasks: upkeepTasks });
