import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import type { JsonValue } from '../spec/event.ts';
import { bytesOfJson, MemoryBudget, type MemoryShare, memoryShares } from './memory-budget.ts';
import { localUser, testCore } from './testing/test-core.ts';
import { testRooms } from './testing/test-rooms.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const aliveBytes = (): number => {
  collectGarbage();
  return process.memoryUsage().heapUsed;
};

it('gives away the whole, and no more', () => {
  const names = Object.keys(memoryShares) as MemoryShare[];
  expect(names.reduce((sum, name) => sum + memoryShares[name], 0)).toBe(100);
  const budget = new MemoryBudget(1_000_000);
  expect(names.reduce((sum, name) => sum + budget.bytesFor(name), 0)).toBe(1_000_000);
});

it('counts what is held of a share by all who hold some', () => {
  const budget = new MemoryBudget();
  budget.holds('marks', () => 3);
  budget.holds('marks', () => 4);
  expect(budget.heldBytes()).toEqual(new Map([['marks', 7]]));
});

it('weighs a JSON value by no less than half of what it takes', () => {
  const values: JsonValue[] = [
    Array.from({ length: 20_000 }, () => []),
    Array.from({ length: 20_000 }, () => ({})),
    Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`key ${index}`, index])),
    Array.from({ length: 2_000 }, (_, index) => ({ name: `name ${index}`, more: [index] })),
    Array.from({ length: 100 }, (_, index) => String(index).repeat(1_000)),
  ];
  for (const value of values) {
    const text = JSON.stringify(value);
    const before = aliveBytes();
    const copies = Array.from({ length: 10 }, () => JSON.parse(text) as JsonValue);
    const taken = aliveBytes() - before;
    expect(10 * bytesOfJson(copies[0])).toBeGreaterThan(taken / 2);
  }
  fc.assert(fc.property(fc.jsonValue(), (value) => bytesOfJson(value as JsonValue) > 0));
});

it('holds under large rows: account data, messages, and what goes to other servers', async () => {
  // As in small servers; the rows written are several times this.
  const maxCacheBytes = 16_000_000;
  const test = await testCore({ maxCacheBytes });
  const { core } = test;
  try {
    const rooms = testRooms(core);
    const alice = localUser('alice');
    const roomIds = await Promise.all(
      Array.from({ length: 5 }, () => rooms.roomCreator.create(alice, { preset: 'private_chat' })),
    );
    const large = 'x'.repeat(60_000);
    const before = aliveBytes();
    for (let round = 0; round < 60; round += 1) {
      await Promise.all([
        ...Array.from({ length: 10 }, () =>
          core.accountData.put(alice, undefined, 'org.example.large', {
            large: `${round}${large}`,
          }),
        ),
        ...roomIds.flatMap((roomId) => [
          rooms.say(roomId, alice, `${round} ${large}`),
          rooms.say(roomId, alice, `${round} also ${large}`),
        ]),
      ]);
      for (const [share, bytes] of core.budget.heldBytes()) {
        // A generation or a room's last event may go beyond by one.
        expect(bytes).toBeLessThanOrEqual(core.budget.bytesFor(share) * 1.1 + 130_000);
      }
    }
    expect(core.budget.heldBytes().get('accountData')).toBeGreaterThan(500_000);
    expect(core.budget.heldBytes().get('events')).toBeGreaterThan(1_000_000);
    // 72 MB were written.
    expect(aliveBytes() - before).toBeLessThan(maxCacheBytes);
  } finally {
    await test.close();
  }
});
