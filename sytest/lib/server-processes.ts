/** The processes of a server that is several, seen from outside. */

import { execFileSync } from 'node:child_process';
import type pg from 'pg';
import type { Server } from './server.ts';

/** The child processes that serve, lowest id first; not the one that started them. */
export function childrenOf(server: Server): number[] {
  const list = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' });
  return list
    .split('\n')
    .flatMap((line) => {
      const [, pid, ppid, args = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
      return Number(ppid) === server.pid && / start --config /.test(args) ? [Number(pid)] : [];
    })
    .sort((a, b) => a - b);
}

/** The process that leads, by the name of the session that writes the log; undefined between two. */
export async function leaderOf(database: pg.Client): Promise<number | undefined> {
  const { rows } = await database.query<{ name: string }>(
    `SELECT application_name AS name FROM pg_locks JOIN pg_stat_activity USING (pid)
      WHERE locktype = 'advisory' AND granted AND application_name LIKE 'parley log,%'
        AND datname = current_database()`,
  );
  return rows.map(({ name }) => Number(/ process (\d+)$/.exec(name)?.[1]))[0];
}
