/** What a page of history costs does not grow with the room. */
import { compileFilter } from '../../spec/filter.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import { watchStatements } from '../testing/watched-database.ts';
import { History, noHistoryFiller } from './history.ts';

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

describe('a page of history among joins', () => {
  it('reads the links of its states that memory does not hold, once for all events', async () => {
    const alice = localUser('alice');
    const rooms = testRooms(test.core);
    const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
    const joins: Promise<unknown>[] = [];
    for (let count = 0; count < 600; count += 1) {
      joins.push(rooms.membership.join(localUser(`member${count}`), roomId));
    }
    await Promise.all(joins);
    const core = await test.restart();
    const history = new History({ ...core, db: core.database, filler: noHistoryFiller });
    const request = {
      userId: alice,
      roomId,
      from: undefined,
      to: undefined,
      direction: 'backwards',
      limit: 100,
      filter: compileFilter({}).room.timeline,
    } as const;
    // The room itself is brought into memory, with its present state.
    await core.registry.find(roomId);
    const watch = watchStatements(core.database);
    const { events } = await history.messages(request);
    expect(events).toHaveLength(100);
    const rows = watch.seen.reduce((sum, { rowCount }) => sum + rowCount, 0);
    // The page, its snapshots, and links that hold a few hundred entries between them.
    expect(rows).toBeLessThan(1_000);
    expect(watch.seen.length).toBeLessThan(15);
    // Where nothing is missing, nobody looks for what is.
    const names = watch.seen.map(({ name }) => name);
    expect(names.filter((name) => name === 'timeline-backwards')).toHaveLength(1);
    expect(names).not.toContain('nearest-gap');
    watch.stop();
  });
});
