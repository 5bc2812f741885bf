/** What a clean-up is: a declaration, which the runner in `upkeep.ts` carries out. */
import type { Tx } from '../storage/database.ts';
import { logPositionAt } from '../storage/log-times.ts';
import {
  deleteExpired,
  type Expiry,
  type Walk,
  type WalkCursor,
  type WalkStep,
  walkTable,
} from '../storage/walk.ts';

export interface StepContext {
  readonly nowMs: number;
  /** How many rows to look at. */
  readonly limit: number;
  /** Where the last step ended; undefined at the beginning of a round. */
  readonly after: WalkCursor | undefined;
}

export interface UpkeepTask {
  /** In metrics. */
  readonly name: string;
  /** What it keeps from growing. */
  readonly tables: readonly string[];
  /** From the end of one round to the beginning of the next. */
  readonly everyMs: number;
  /** Looked at in one step, at most: so many that it takes a few milliseconds of the database. */
  readonly maxRows: number;
  /**
   * One step of a round, in a transaction of its own: what it does not get to is found by the next, or
   * by another process, or after a restart.
   */
  step(tx: Tx, context: StepContext): Promise<WalkStep>;
}

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

type Schedule = Pick<UpkeepTask, 'name' | 'everyMs'> & { readonly maxRows?: number };

/** Deletes rows that an index has in front; `values` of a time are those of the SQL. */
export const expiring = (
  schedule: Schedule,
  expiry: Expiry,
  values: (nowMs: number) => readonly unknown[],
): UpkeepTask => ({
  maxRows: 500,
  ...schedule,
  tables: [expiry.table],
  step: (tx, { nowMs, limit }) => deleteExpired(tx, expiry, values(nowMs), limit),
});

/** Walks a table. What is before `olderThanMs` ago is old. */
export const walking = (
  schedule: Schedule & { readonly olderThanMs?: number },
  walk: Walk,
): UpkeepTask => {
  const { olderThanMs = 0, ...rest } = schedule;
  return {
    maxRows: 500,
    ...rest,
    tables: [walk.table],
    async step(tx, { nowMs, limit, after }) {
      const beforeMs = nowMs - olderThanMs;
      const usesLog = walk.gone.includes(':beforePos');
      const beforePos = usesLog ? await logPositionAt(tx, beforeMs) : 0;
      return walkTable(tx, walk, { beforeMs, beforePos }, limit, after);
    },
  };
};
