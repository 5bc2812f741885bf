/**
 * The PostgreSQL a server runs in its data folder, seen from outside: its processes, and their
 * violent ends. Its layout is that of `docs/configuration.md`.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
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

/** A connection to it, for the caller to end. */
export async function connectTo(server: Server, database = 'parley'): Promise<pg.Client> {
  const [, host, port] = /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(socketOf(server)) ?? [];
  const client = new pg.Client({ host: host!, port: Number(port), user: 'parley', database });
  // Whoever waits for an answer is told; the loss of an idle connection is nobody's.
  client.on('error', () => undefined);
  await client.connect();
  return client;
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
