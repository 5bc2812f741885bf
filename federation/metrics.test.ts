/** Every metric this server has, and that docs/metrics.md names each of them and no other. */
import { readFile } from 'node:fs/promises';
import { Registry } from 'prom-client';
import { createAccounts } from '../homeserver/accounts/accounts.ts';
import { noCounts } from '../homeserver/cluster/counts.ts';
import { httpMetrics } from '../homeserver/http/http-metrics.ts';
import { RateLimits } from '../homeserver/http/rate-limits.ts';
import {
  machineMetrics,
  type ObservedCluster,
  registerClusterMetrics,
} from '../homeserver/ops/cluster-metrics.ts';
import {
  logMetrics,
  registerAccountMetrics,
  registerCoreMetrics,
} from '../homeserver/ops/core-metrics.ts';
import { silentLogger } from '../homeserver/ops/logger.ts';
import { outboundMetrics } from '../homeserver/outbound/outbound-metrics.ts';
import { seededRandom } from '../homeserver/testing/seeded-random.ts';
import { type TestCore, testCore, testServerName } from '../homeserver/testing/test-core.ts';
import { watchStatements } from '../homeserver/testing/watched-database.ts';
import { upkeepMetrics } from '../homeserver/upkeep/create-upkeep.ts';
import { senderMetrics } from './sender/sender-metrics.ts';
import { inboundMetrics } from './transactions/inbound-metrics.ts';

let test: TestCore;
let registry: Registry;
let limits: RateLimits;
let accounts: ReturnType<typeof createAccounts>;
const destinations = { failingCount: 0 };
const queue = { waitingRooms: 0, waitingEvents: 0 };
const cluster: ObservedCluster = {
  role: 'leader',
  epoch: 1,
  memberCount: 1,
  counts: noCounts(),
  onPartAgain: () => undefined,
  answerNeighbours: () => undefined,
  askNeighbours: async () => [],
};

beforeAll(async () => {
  test = await testCore();
  const { core, clock } = test;
  registry = new Registry();
  limits = new RateLimits({ general: { perSecond: 1, burst: 1 } } as never, clock);
  accounts = createAccounts({
    database: core.database,
    clock,
    random: seededRandom('metrics'),
    logger: silentLogger,
    serverName: testServerName,
    registration: {
      enabled: true,
      requireToken: false,
      allowGuests: false,
      sharedSecret: undefined,
    },
    passwords: { minLength: 8, hashMemoryKib: 64, hashPasses: 1 },
  });
  httpMetrics(registry);
  logMetrics(registry)(3, 0.01, 'committed');
  registerCoreMetrics(registry, core);
  registerAccountMetrics(registry, accounts, limits);
  outboundMetrics(registry);
  upkeepMetrics(registry);
  senderMetrics(registry).watchDestinations(destinations);
  inboundMetrics(registry).watchQueue(queue);
  registerClusterMetrics(registry, cluster);
  machineMetrics(registry, cluster);
});
afterAll(async () => {
  await accounts.stop();
  await test.close();
});

const lines = async (name: string): Promise<string[]> =>
  (await registry.metrics()).split('\n').filter((line) => line.startsWith(name));

it('are those of docs/metrics.md', async () => {
  const text = await readFile(new URL('../docs/metrics.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `(parley_\w+)`/gm)].map(([, name]) => name);
  const names = (await registry.metrics()).matchAll(/^# TYPE (\w+)/gm);
  expect(documented.sort()).toEqual([...names].map(([, name]) => name).sort());
});

it('tell what people try, and what waits', async () => {
  limits.take('general', 'alice');
  for (let count = 0; count < 2; count += 1) {
    expect(() => limits.take('general', 'alice')).toThrow();
  }
  expect(() => limits.take('send', 'alice')).not.toThrow();
  const proof = { identifier: { kind: 'user', name: 'nobody' }, password: 'wrong', ip: '::1' };
  await expect(accounts.credentials.checkPassword(proof as never)).rejects.toThrow('Wrong');
  destinations.failingCount = 3;
  Object.assign(queue, { waitingRooms: 2, waitingEvents: 7 });
  // Reading does not count anything twice.
  await registry.metrics();
  expect([
    ...(await lines('parley_rate_limited_total')),
    ...(await lines('parley_wrong_passwords_total')),
    ...(await lines('parley_passwords_waiting')),
    ...(await lines('parley_federation_failing_destinations')),
    ...(await lines('parley_federation_waiting')),
    ...(await lines('parley_log_batch_writes_sum')),
  ]).toEqual([
    'parley_rate_limited_total{limit="general"} 2',
    'parley_wrong_passwords_total 1',
    'parley_passwords_waiting 0',
    'parley_federation_failing_destinations 3',
    'parley_federation_waiting_rooms 2',
    'parley_federation_waiting_events 7',
    'parley_log_batch_writes_sum 3',
  ]);
});

it('ask the database for one estimate, and wait for none', async () => {
  const { database } = test.core;
  await registry.metrics();
  await new Promise((done) => setImmediate(done));
  const watch = watchStatements(database);
  await registry.metrics();
  watch.stop();
  expect(watch.seen.map(({ name }) => name).filter((name) => name !== 'estimated-rows')).toEqual(
    [],
  );
  await database.query({ text: 'ANALYZE to_device_messages' });
  await registry.metrics();
  expect(await lines('parley_to_device_waiting_estimate')).toHaveLength(1);
});
