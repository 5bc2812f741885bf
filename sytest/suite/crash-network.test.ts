/**
 * Between the server and a PostgreSQL apart: connections cut, statements that outlive theirs, a
 * network that is frozen or slow, and a database process that stands still, while fifty people send
 * and read. The same must be true as after the ends in `crash.test.ts`.
 *
 * CRASH_ROUNDS (2 unless given) says how often each kind of trouble is met; CRASH_SEED repeats a run.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { backendsOf, connectTo, socketOf } from '../lib/embedded-database.ts';
import { parley } from '../lib/parley.ts';
import { Server } from '../lib/server.ts';
import { TcpProxy } from '../lib/tcp-proxy.ts';
import { authority } from '../lib/world.ts';
import { CrashScene, itLostNothing, ROUNDS, TIMEOUT_MS } from './crash-scene.ts';

const DATABASE = 'apart';
/** Longer than anything takes, shorter than anybody gives up. */
const TROUBLE_MS = 2_000;

/** Lends its PostgreSQL. */
let host: Server;
let proxy: TcpProxy;
let server: Server;
let scene: CrashScene;

beforeAll(async () => {
  // As many connections as a PostgreSQL has that nobody has configured: those of a lost server go late.
  const lending = { log: { level: 'warn' }, database: { pool_size: 90 } };
  host = await Server.create(parley(lending), authority);
  await host.start();
  const client = await connectTo(host);
  await client.query(`CREATE DATABASE ${DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`);
  await client.end();
  proxy = await TcpProxy.to(socketOf(host));
  const url = `postgres://parley@127.0.0.1:${proxy.port}/${DATABASE}`;
  server = await Server.create(parley({ log: { level: 'warn' }, database: { url } }), authority);
  await server.start();
  scene = await CrashScene.prepare(server);
}, TIMEOUT_MS);

afterAll(async () => {
  proxy?.thaw();
  await server?.destroy();
  await proxy?.close();
  await host?.destroy();
});

/** The database process that writes the log. */
const logBackend = async (): Promise<number> => {
  const client = await connectTo(host);
  const { rows } = await client.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity
      WHERE datname = $1 AND application_name LIKE 'parley log%'`,
    [DATABASE],
  );
  await client.end();
  return rows[0]?.pid as number;
};

const troubles: [string, () => Promise<void>][] = [
  [
    'every connection is cut',
    async () => {
      proxy.cut();
    },
  ],
  [
    'the server loses its connections and the database does not notice',
    async () => {
      proxy.cutNear();
      await sleep(TROUBLE_MS);
      proxy.cutFar();
    },
  ],
  [
    'the network stands still for a while',
    async () => {
      proxy.freeze();
      await sleep(TROUBLE_MS);
      proxy.thaw();
    },
  ],
  [
    'the network stands still and is cut',
    async () => {
      proxy.freeze();
      await sleep(scene.random.below(TROUBLE_MS));
      proxy.cut();
      proxy.thaw();
    },
  ],
  [
    'the network is slow',
    async () => {
      proxy.delay(() => scene.random.below(100));
      await sleep(TROUBLE_MS);
      proxy.delay(() => 0);
    },
  ],
  [
    'the process that writes stands still, and its connection is cut',
    async () => {
      const backend = await logBackend();
      process.kill(backend, 'SIGSTOP');
      try {
        await sleep(scene.random.below(TROUBLE_MS));
        proxy.cutNear();
        await sleep(TROUBLE_MS);
      } finally {
        process.kill(backend, 'SIGCONT');
      }
      proxy.cutFar();
    },
  ],
  [
    'a process of the database is ended',
    async () => {
      process.kill(scene.random.pick(backendsOf(host, DATABASE)), 'SIGTERM');
    },
  ],
  [
    'the server is killed, and started while a statement of it is still at work',
    async () => {
      const backend = await logBackend();
      process.kill(backend, 'SIGSTOP');
      await server.kill();
      const started = server.start();
      await sleep(TROUBLE_MS);
      process.kill(backend, 'SIGCONT');
      await started;
    },
  ],
];

// Nothing tells the database, so the next to start waits until the last one has been silent for long.
if (ROUNDS > 2) {
  troubles.push([
    'the machine of the server is lost, and another one takes its place',
    async () => {
      proxy.cutNear();
      await server.kill();
      await server.start();
      proxy.cutFar();
    },
  ]);
}

describe('with fifty people sending', () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    it.each(troubles)(
      `%s (round ${round})`,
      async (what, strike) => {
        await scene.strikeWhilePeopleSend(`${what}, round ${round}`, strike);
      },
      TIMEOUT_MS,
    );
  }

  itLostNothing(() => scene, ROUNDS * troubles.length);
});
