/** What a first sync costs does not grow with each room. */
import { compileFilter } from '../../spec/filter.ts';
import type { Core } from '../core.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import { watchStatements } from '../testing/watched-database.ts';
import { createSync } from './create-sync.ts';

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

const [alice, bob] = [localUser('alice'), localUser('bob')];
const roomCount = 60;

// biome-ignore lint/suspicious/noExplicitAny: tests look at the response as a client would.
const firstSync = async (core: Core, filter: object): Promise<any> =>
  JSON.parse(
    await createSync(core).sync({
      userId: alice,
      deviceId: undefined,
      filter: compileFilter(filter as never),
      since: undefined,
      fullState: false,
      useStateAfter: false,
      timeoutMs: 0,
    }),
  );

describe('a first sync after a restart', () => {
  beforeAll(async () => {
    const rooms = testRooms(test.core);
    for (let count = 0; count < roomCount; count += 1) {
      const roomId = await rooms.roomCreator.create(bob, {
        preset: 'private_chat',
        invite: [alice],
      });
      await rooms.membership.join(alice, roomId);
      // In half of them the beginning is far away.
      for (let said = 0; said < (count % 2) * 12; said += 1) await rooms.say(roomId, bob, 'hello');
    }
  });

  it.each([
    ['with all members', {}],
    ['with lazy members', { room: { state: { lazy_load_members: true } } }],
    ['without state', { room: { state: { types: [] } } }],
  ])('takes statements for all rooms together, %s', async (_name, filter) => {
    const warm = await firstSync(test.core, filter);
    const core = await test.restart();
    const watch = watchStatements(core.database);
    const cold = await firstSync(core, filter);
    const statements = watch.seen.length;
    watch.stop();
    expect(Object.keys(cold.rooms.join)).toHaveLength(roomCount);
    expect(cold.rooms).toEqual(warm.rooms);
    expect(watch.seen.map(({ name }) => name).slice(40)).toEqual([]);
    expect(statements).toBeLessThan(40);
  });
});
