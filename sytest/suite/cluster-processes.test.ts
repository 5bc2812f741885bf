/** Trouble in a server of three processes on one machine; see `cluster-scene.ts`. */

import type pg from 'pg';
import { backendsOf, connectTo } from '../lib/embedded-database.ts';
import { parley } from '../lib/parley.ts';
import { Server } from '../lib/server.ts';
import { childrenOf, leaderOf } from '../lib/server-processes.ts';
import { eventually } from '../lib/wait.ts';
import { authority } from '../lib/world.ts';
import {
  CHAOS_ROUNDS,
  CHAOS_TIMEOUT_MS,
  ClusterScene,
  itFailsOverInTime,
} from './cluster-scene.ts';
import { itLostNothing, saysItIsReady } from './crash-scene.ts';

const PROCESSES = 3;

let server: Server;
let database: pg.Client;
let scene: ClusterScene;

beforeAll(async () => {
  server = await Server.create(parley({ log: { level: 'warn' }, processes: PROCESSES }), authority);
  await server.start();
  database = await connectTo(server);
  scene = await ClusterScene.prepare(server, async () =>
    childrenOf(server).length === PROCESSES ? saysItIsReady(server.clientUrl) : undefined,
  );
}, CHAOS_TIMEOUT_MS);

afterAll(async () => {
  await database?.end();
  await server?.destroy();
});

const leader = (): Promise<number> => eventually('a leader', () => leaderOf(database));

const member = async (): Promise<number> => {
  const leading = await leader();
  return scene.crash.random.pick(childrenOf(server).filter((pid) => pid !== leading));
};

const parts: [string, () => Promise<number>][] = [
  ['the leader', leader],
  ['a member', member],
];

describe('with fifty people sending through all processes', () => {
  for (let round = 1; round <= CHAOS_ROUNDS; round += 1) {
    it.each(parts)(
      `%s is killed (round ${round})`,
      async (who, choose) => {
        await scene.kills(`${who} killed, round ${round}`, async () => {
          process.kill(await choose(), 'SIGKILL');
        });
      },
      CHAOS_TIMEOUT_MS,
    );

    it.each(parts)(
      `%s stands still for a while (round ${round})`,
      async (who, choose) => {
        await scene.strike(`${who} frozen, round ${round}`, async () =>
          scene.freezes(await choose()),
        );
      },
      CHAOS_TIMEOUT_MS,
    );

    it.each(parts)(
      `%s is asked to stop: nobody notices (round ${round})`,
      async (who, choose) => {
        await scene.stops(`${who} stopped, round ${round}`, async () => {
          process.kill(await choose(), 'SIGTERM');
        });
      },
      CHAOS_TIMEOUT_MS,
    );

    it(
      `a process of the database is ended (round ${round})`,
      async () => {
        await scene.strike(`a database process ended, round ${round}`, async () => {
          process.kill(scene.crash.random.pick(backendsOf(server)), 'SIGTERM');
        });
      },
      CHAOS_TIMEOUT_MS,
    );
  }

  itFailsOverInTime(() => scene);
  itLostNothing(() => scene.crash, CHAOS_ROUNDS * 7);
});
