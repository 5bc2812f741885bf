import { compileFilter } from '../../spec/filter.ts';
import type { Core } from '../core.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import { createSync } from './create-sync.ts';
import { formatSyncToken, maxTypingIn, parseSyncToken } from './tokens.ts';

const alice = localUser('alice');
const bob = localUser('bob');

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

let token: string | undefined;
const reads = async (core: Core) => {
  const text = await createSync(core).sync({
    userId: alice,
    deviceId: undefined,
    filter: compileFilter({}),
    since: token === undefined ? undefined : parseSyncToken(token),
    fullState: false,
    useStateAfter: false,
    timeoutMs: 0,
  });
  const answer = JSON.parse(text);
  token = answer.next_batch;
  return answer.rooms?.join ?? {};
};

it('who typed at a restart does not type for ever', async () => {
  const { core, clock } = test;
  const rooms = testRooms(core);
  const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  const quiet = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  await rooms.membership.join(bob, roomId);
  await reads(core);
  clock.advance(10_000);
  await core.typing.setLocal(bob, roomId, true, 30_000);
  expect((await reads(core))[roomId].ephemeral.events[0].content).toEqual({ user_ids: [bob] });
  expect(await reads(core)).toEqual({});
  clock.advance(60_000);
  const restarted = await test.restart();
  const afterwards = await reads(restarted);
  expect(afterwards[roomId].ephemeral.events).toEqual([
    { type: 'm.typing', content: { user_ids: [] } },
  ]);
  expect(afterwards[quiet]).toBeUndefined();
  expect(token).not.toContain('~');
  expect(await reads(restarted)).toEqual({});
});

it('a token names only so many rooms', () => {
  const plain = { position: 1, typing: 2, presence: 3 };
  const most = {
    ...plain,
    toDevice: 4,
    typingIn: Array.from({ length: maxTypingIn }, (_, i) => i),
  };
  expect(parseSyncToken(formatSyncToken(most))).toEqual(most);
  expect(parseSyncToken(formatSyncToken(plain))).toEqual(plain);
  expect(() => parseSyncToken(`${formatSyncToken(most)},9`)).toThrow('Not a sync token');
});
