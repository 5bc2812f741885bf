/** Clients that come back after longer than changes of room states are kept. */
import { compileFilter } from '../../spec/filter.ts';
import type { DeviceId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { createUpkeep } from '../upkeep/create-upkeep.ts';
import { DAY_MS } from '../upkeep/upkeep-task.ts';
import { createSync } from './create-sync.ts';
import { parseSyncToken } from './tokens.ts';

const [alice, bob, carol] = [localUser('alice'), localUser('bob'), localUser('carol')];
const device = 'D' as DeviceId;

describe('a sync from before the oldest changes that are kept', () => {
  let test: TestCore;
  let rooms: TestRooms;
  let core: Core;
  let roomId: RoomId;
  let [ancient, between] = ['', ''];
  let changesBefore = 0;

  // biome-ignore lint/suspicious/noExplicitAny: tests look at the response as a client would.
  const read = async (userId: typeof alice, since?: string): Promise<any> => {
    const sync = createSync(core);
    await sync.prepare(userId);
    const body = await sync.sync({
      userId,
      deviceId: device,
      filter: compileFilter({ room: { timeline: { limit: 1 } } }),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs: 0,
    });
    return JSON.parse(body);
  };
  const changes = async (): Promise<number> => {
    const { rows } = await core.database.query<{ n: number }>({
      text: 'SELECT count(*) AS n FROM state_changes',
    });
    return rows[0]?.n ?? 0;
  };
  const setTopic = (topic: string) =>
    core.localEvents.send(roomId, {
      type: 'm.room.topic',
      sender: alice,
      stateKey: '',
      content: { topic },
    });
  const topicIn = (events: { type: string; content: { topic: string } }[]) =>
    events.find(({ type }) => type === 'm.room.topic')?.content.topic;

  beforeAll(async () => {
    test = await testCore();
    core = test.core;
    rooms = testRooms(core);
    const upkeep = createUpkeep(core);
    roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
    await rooms.membership.join(bob, roomId);
    ancient = (await read(alice)).next_batch;
    for (let n = 0; n < 50; n += 1) await setTopic(`topic ${n}`);
    await rooms.membership.join(carol, roomId);
    await upkeep.runDue();
    test.clock.advance(91 * DAY_MS);
    between = (await read(bob)).next_batch;
    await setTopic('new');
    await rooms.membership.leave(bob, roomId);
    await rooms.say(roomId, alice, 'last');
    changesBefore = await changes();
    await upkeep.runDue();
    core = await test.restart();
  });
  afterAll(() => test.close());

  it('finds that replaced changes are gone', async () => {
    expect(changesBefore - (await changes())).toBeGreaterThanOrEqual(49);
  });

  it('brings the whole state of a room that has news', async () => {
    const { state, timeline } = (await read(alice, ancient)).rooms.join[roomId];
    expect(topicIn(state.events)).toBe('new');
    expect(timeline).toMatchObject({ limited: true });
    expect(state.events.map(({ type }: { type: string }) => type)).toContain('m.room.create');
  });

  it('brings what changed to those who have been away for less', async () => {
    const { state } = (await read(alice, between)).rooms.join[roomId];
    expect(state.events.map(({ type }: { type: string }) => type).sort()).toEqual([
      'm.room.member',
      'm.room.topic',
    ]);
  });

  it.each(['ancient', 'between'])(
    'tells who left whose keys they need no more (%s)',
    async (when) => {
      const { left } = (await read(bob, when === 'ancient' ? ancient : between)).device_lists;
      expect(left.sort()).toEqual([alice, carol].sort());
    },
  );
});
