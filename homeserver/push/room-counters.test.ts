import { DEFAULT_CACHE_BYTES, MemoryBudget } from '../memory-budget.ts';
import { silentLogger } from '../ops/logger.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { RoomCounters } from './room-counters.ts';

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

const rooms = [1, 2, 3].map((roomNid) => ({ roomNid, membershipPos: 1 }) as UserRoom);

const counters = (maxBytes: number): RoomCounters =>
  new RoomCounters({
    database: test.core.database,
    logger: silentLogger,
    receipts: test.core.receipts,
    maxBytes,
  });

it('keeps those of five thousand people who wait in a few rooms', async () => {
  const kept = counters(new MemoryBudget(DEFAULT_CACHE_BYTES).bytesFor('counters') / 2);
  const people = Array.from({ length: 5_000 }, (_, n) => localUser(`person${n}`));
  for (let start = 0; start < people.length; start += 100) {
    await Promise.all(people.slice(start, start + 100).map((user) => kept.load(user, rooms, 1)));
  }
  expect(people.filter((user) => kept.cached(user) === undefined)).toEqual([]);
});

it('weighs people by their rooms, also those loaded later', async () => {
  const kept = counters(100_000);
  const alice = localUser('alice');
  await kept.load(alice, rooms.slice(0, 1), 1);
  const one = kept.bytes;
  await kept.load(alice, rooms, 1);
  expect(kept.bytes).toBeGreaterThan(2 * one);
  for (let n = 0; n < 1_000; n += 1) await kept.load(localUser(`other${n}`), rooms, 1);
  expect(kept.bytes).toBeLessThan(210_000);
  expect(kept.cached(alice)).toBeUndefined();
});
