/**
 * Trouble in a server of three machines: three starts with folders and ports of their own, on one
 * database, each with a network of its own to it, behind a plain load balancer. See `cluster-scene.ts`.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Balancer } from '../lib/balancer.ts';
import { connectTo, socketOf } from '../lib/embedded-database.ts';
import { parley } from '../lib/parley.ts';
import { freePort, Server } from '../lib/server.ts';
import { TcpProxy } from '../lib/tcp-proxy.ts';
import { authority } from '../lib/world.ts';
import {
  CHAOS_ROUNDS,
  CHAOS_TIMEOUT_MS,
  ClusterScene,
  FREEZE_MS,
  itFailsOverInTime,
} from './cluster-scene.ts';
import { itLostNothing, saysItIsReady } from './crash-scene.ts';

const MACHINES = 3;
const DATABASE = 'shared';
const MAX_DELAY_MS = 50;

/** Lends its PostgreSQL. */
let host: Server;
let balancer: Balancer;
let scene: ClusterScene;
const machines: { readonly server: Server; readonly network: TcpProxy }[] = [];

const startMachine = async (publicPort: number, signingKey: string): Promise<void> => {
  const network = await TcpProxy.to(socketOf(host));
  const url = `postgres://parley@127.0.0.1:${network.port}/${DATABASE}`;
  const settings = {
    log: { level: 'warn' },
    processes: 1,
    // Each may have a third of what a PostgreSQL has that nobody has configured.
    database: { url, pool_size: 20 },
    cluster: { port: 0, bind: '127.0.0.1', advertise: '127.0.0.1' },
    federation: { signing_key_file: signingKey },
  };
  const server = await Server.create(parley(settings), authority, publicPort);
  machines.push({ server, network });
  await server.start();
};

const areAllReady = async (): Promise<true | undefined> => {
  const ready = await Promise.all(machines.map(({ server }) => saysItIsReady(server.clientUrl)));
  return ready.every((each) => each === true) ? true : undefined;
};

beforeAll(async () => {
  const lending = { log: { level: 'warn' }, processes: 1, database: { pool_size: 90 } };
  host = await Server.create(parley(lending), authority);
  await host.start();
  const client = await connectTo(host);
  await client.query(`CREATE DATABASE ${DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`);
  await client.end();
  const publicPort = await freePort();
  for (let nth = 0; nth < MACHINES; nth += 1) {
    await startMachine(publicPort, `${host.site.dir}/shared-signing.key`);
  }
  balancer = await Balancer.over(machines.map(({ server }) => server.site.clientPort));
  const { name } = machines[0]!.server;
  const clientUrl = `http://127.0.0.1:${balancer.port}`;
  scene = await ClusterScene.prepare({ name, clientUrl }, areAllReady);
}, CHAOS_TIMEOUT_MS);

afterAll(async () => {
  for (const { network } of machines) network.thaw();
  await Promise.all(machines.map(({ server }) => server.destroy()));
  for (const { network } of machines) await network.close();
  await balancer?.close();
  await host?.destroy();
});

const anyMachine = () => scene.crash.random.pick(machines);

const troubles: [string, () => Promise<void>][] = [
  ['a machine’s connections to the database are cut', async () => anyMachine().network.cut()],
  [
    'a machine is cut off from the database for a while',
    async () => {
      const { network } = anyMachine();
      network.freeze();
      await sleep(scene.crash.random.below(FREEZE_MS));
      network.thaw();
    },
  ],
  [
    'a machine’s way to the database is slow',
    async () => {
      const { network } = anyMachine();
      network.delay(() => scene.crash.random.below(MAX_DELAY_MS));
      await sleep(FREEZE_MS / 2);
      network.delay(() => 0);
    },
  ],
  [
    'a machine stands still for a while',
    async () => scene.freezes(anyMachine().server.pid as number),
  ],
];

describe('with fifty people sending through all machines', () => {
  for (let round = 1; round <= CHAOS_ROUNDS; round += 1) {
    it.each(troubles)(
      `%s (round ${round})`,
      async (what, strike) => {
        await scene.strike(`${what}, round ${round}`, strike);
      },
      CHAOS_TIMEOUT_MS,
    );

    it(
      `a machine is lost, and comes back (round ${round})`,
      async () => {
        await scene.kills(`a machine lost, round ${round}`, async () => {
          const { server } = anyMachine();
          await server.kill();
          await server.start();
        });
      },
      CHAOS_TIMEOUT_MS,
    );
  }

  itFailsOverInTime(() => scene);
  itLostNothing(() => scene.crash, CHAOS_ROUNDS * (troubles.length + 1));
});
