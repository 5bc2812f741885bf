/** The core on a database of its own, with a clock and randomness that a test holds in its hand. */
import type { ServerName, UserId } from '../../spec/identifiers.ts';
import { testSigningKey } from '../../spec/testing/room-builder.ts';
import { type Core, type CoreOptions, createCore } from '../core.ts';
import { silentLogger } from '../ops/logger.ts';
import { FakeClock } from './fake-clock.ts';
import { seededRandom } from './seeded-random.ts';
import { type TestDatabase, testDatabase } from './test-database.ts';

export const testServerName = 'here.test' as ServerName;

export interface TestCore {
  readonly core: Core;
  readonly clock: FakeClock;
  readonly testDatabase: TestDatabase;
  /** A second start on the same database: what was only in memory is gone. */
  restart(): Promise<Core>;
  /** Ends the core and drops its database. Call it in `afterAll`. */
  close(): Promise<void>;
}

/** `@name:here.test` */
export const localUser = (name: string): UserId => `@${name}:${testServerName}` as UserId;

export const testCore = async (overrides: Partial<CoreOptions> = {}): Promise<TestCore> => {
  const database = await testDatabase();
  const clock = new FakeClock();
  const options: CoreOptions = {
    database: database.database,
    logger: silentLogger,
    serverName: testServerName,
    signingKey: () => testSigningKey(testServerName),
    clock,
    random: seededRandom('core'),
    ...overrides,
  };
  const cores = [await createCore(options)];
  return {
    core: cores[0] as Core,
    clock,
    testDatabase: database,
    async restart() {
      await cores.at(-1)?.close();
      const core = await createCore({ ...options, random: seededRandom(`core ${cores.length}`) });
      cores.push(core);
      return core;
    },
    async close() {
      await cores.at(-1)?.close();
      await database.close();
    },
  };
};
