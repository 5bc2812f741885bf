/** Starts the ceiling in its own process and speaks to it: see `ceiling.ts`. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CeilingReady } from './ceiling.ts';
import { HttpConnection } from './http-connection.ts';
import { expectOk } from './person.ts';

const PROGRAM = fileURLToPath(new URL('./ceiling.js', import.meta.url));

export interface Ceiling extends Omit<CeilingReady, 'url'> {
  readonly url: URL;
  /** Durations of `count` commits of one row in a sequence, without HTTP around them. */
  bareCommitsMs(count: number): Promise<number[]>;
  stop(): Promise<void>;
}

export const startCeiling = async (folder: string): Promise<Ceiling> => {
  const child = fork(PROGRAM, [folder], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const exited = once(child, 'exit');
  const [message] = (await Promise.race([
    once(child, 'message'),
    exited.then(() => {
      throw new Error('the ceiling did not start');
    }),
  ])) as [CeilingReady];
  const url = new URL(message.url);
  const http = new HttpConnection(url);
  return {
    url,
    database: message.database,
    bareCommitsMs: async (count) => {
      const body = JSON.stringify({ count });
      const answer = await expectOk(http, { method: 'POST', path: '/bare-commits', body });
      return (JSON.parse(answer.toString()) as { durationsMs: number[] }).durationsMs;
    },
    stop: async () => {
      http.close();
      child.disconnect();
      await exited;
    },
  };
};
