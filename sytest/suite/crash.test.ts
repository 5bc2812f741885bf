/**
 * Violent ends while fifty people send: of the server, of its database, and of one connection's
 * process. Whatever was acknowledged is there afterwards, once; rooms go on as one line of events;
 * readers continue from the tokens they hold.
 *
 * CRASH_ROUNDS (2 unless given) says how often each kind of end is met; CRASH_SEED repeats a run.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { backendsOf, postmasterOf } from '../lib/embedded-database.ts';
import { parley } from '../lib/parley.ts';
import { Server } from '../lib/server.ts';
import { eventually } from '../lib/wait.ts';
import { authority } from '../lib/world.ts';
import { CrashScene, itLostNothing, ROUNDS, TIMEOUT_MS } from './crash-scene.ts';

let server: Server;
let scene: CrashScene;

beforeAll(async () => {
  server = await Server.create(parley({ log: { level: 'warn' } }), authority);
  await server.start();
  scene = await CrashScene.prepare(server);
}, TIMEOUT_MS);

afterAll(async () => {
  await server.destroy();
});

describe('with fifty people sending', () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    it(
      `the server is killed (round ${round})`,
      async () => {
        await scene.strikeWhilePeopleSend(`server killed, round ${round}`, async () => {
          await server.kill();
          await server.start();
        });
      },
      TIMEOUT_MS,
    );

    it(
      `the database is killed (round ${round})`,
      async () => {
        await scene.strikeWhilePeopleSend(`database killed, round ${round}`, async () => {
          const before = postmasterOf(server);
          process.kill(before, 'SIGKILL');
          await eventually('another database', () =>
            postmasterOf(server) === before ? undefined : true,
          );
        });
      },
      TIMEOUT_MS,
    );

    it(
      `one process of the database is killed (round ${round})`,
      async () => {
        await scene.strikeWhilePeopleSend(`database process killed, round ${round}`, async () => {
          process.kill(scene.random.pick(backendsOf(server)), 'SIGKILL');
          await sleep(100);
        });
      },
      TIMEOUT_MS,
    );

    it(
      `server and database are killed together (round ${round})`,
      async () => {
        await scene.strikeWhilePeopleSend(
          `server and database killed, round ${round}`,
          async () => {
            process.kill(postmasterOf(server), 'SIGKILL');
            await server.kill();
            await server.start();
          },
        );
      },
      TIMEOUT_MS,
    );
  }

  itLostNothing(() => scene, ROUNDS * 4);
});
