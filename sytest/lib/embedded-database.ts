/**
 * The PostgreSQL a server runs in its data folder, seen from outside: its processes, and their
 * violent ends. Its layout is that of `docs/configuration.md`.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from './server.ts';

/** The database's main process. */
export function postmasterOf(server: Server): number {
  const file = join(server.site.dir, 'data/postgres/postmaster.pid');
  return Number(readFileSync(file, 'utf8').split('\n')[0]);
}

/** The socket on which the database listens: its folder, and the number that stands for a port. */
export function socketOf(server: Server): string {
  const file = join(server.site.dir, 'data/postgres/postmaster.pid');
  const [, , , port, folder] = readFileSync(file, 'utf8').split('\n');
  return `${folder}/.s.PGSQL.${port}`;
}

/** The processes that serve connections, the server's own unless another database is named. */
export function backendsOf(server: Server, database = 'parley'): number[] {
  const parent = postmasterOf(server);
  const list = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' });
  return list.split('\n').flatMap((line) => {
    const [, pid, ppid, args = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return Number(ppid) === parent && args.startsWith(`postgres: parley ${database} `)
      ? [Number(pid)]
      : [];
  });
}
