import { compileFilter } from '../../spec/filter.ts';
import type { RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { alicesRoom } from '../testing/alices-room.ts';
import { holdRoom } from '../testing/log-trouble.ts';
import { localUser, type TestCore } from '../testing/test-core.ts';
import type { TestRooms } from '../testing/test-rooms.ts';
import { createSync } from './create-sync.ts';

const alice = localUser('alice');
const bob = localUser('bob');

let test: TestCore;
let core: Core;
let rooms: TestRooms;
let roomId: RoomId;
beforeAll(async () => {
  ({ test, core, rooms, roomId } = await alicesRoom({ name: 'before' }));
  await rooms.membership.join(bob, roomId);
});
afterAll(() => test.close());

const firstSync = async () => {
  const text = await createSync(core).sync({
    userId: alice,
    deviceId: undefined,
    filter: compileFilter({ room: { timeline: { limit: 0 }, state: { lazy_load_members: true } } }),
    since: undefined,
    fullState: false,
    useStateAfter: false,
    timeoutMs: 0,
  });
  return JSON.parse(text).rooms.join[roomId];
};

describe('a state event on its way to the database', () => {
  it('is not shown to readers before it is committed', async () => {
    const room = (await core.registry.find(roomId))!;
    const before = await firstSync();
    const release = await holdRoom(core, room.nid);
    const leaving = rooms.membership.leave(bob, roomId);
    const renaming = core.localEvents.send(roomId, {
      type: 'm.room.name',
      stateKey: '',
      sender: alice,
      content: { name: 'after' },
    });
    await core.localEvents.inRoom(roomId, async ({ state, committed }) => {
      expect(state.nid).not.toBe(committed.state.nid);
      expect(committed.joinedCount).toBe(2);
    });
    const meanwhile = await firstSync();
    await release();
    await Promise.all([leaving, renaming]);
    expect(meanwhile.summary).toEqual(before.summary);
    expect(meanwhile.state.events).toEqual(before.state.events);
    const afterwards = await firstSync();
    expect(afterwards.summary['m.joined_member_count']).toBe(1);
    expect(room.committed).toEqual(room.ahead);
  });
});
