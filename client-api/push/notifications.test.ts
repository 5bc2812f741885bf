import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { type TestRooms, testRooms } from '../../homeserver/testing/test-rooms.ts';
import type { RoomId } from '../../spec/identifiers.ts';
import { tokenIsUser } from '../testing/token-is-user.ts';
import { pushRoutes } from './routes.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];

let test: TestCore;
let rooms: TestRooms;
let server: TestServer;
let roomId: RoomId;

beforeAll(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
  server = await serve(pushRoutes({ ...test.core, auth: tokenIsUser }));
  roomId = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
  await rooms.say(roomId, bob, 'before');
  await rooms.membership.join(alice, roomId);
});
afterAll(async () => {
  await server.stop();
  await test.close();
});

const list = async (query = '', token = alice) =>
  (await server.request('GET', `/_matrix/client/v3/notifications${query}`, { token })).body;

const bodiesIn = (answer: { notifications: { event: { content: { body: string } } }[] }) =>
  answer.notifications.map(({ event }) => event.content.body);

it('lists what others have said since one joined, newest first, in every room', async () => {
  await rooms.say(roomId, bob, 'one');
  await rooms.say(roomId, alice, 'mine');
  const other = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
  await rooms.membership.join(alice, other);
  const two = await rooms.say(other, bob, 'two');
  const eventId = await rooms.say(roomId, bob, 'three');
  const answer = await list();
  expect(bodiesIn(answer)).toEqual(['three', 'two', 'one']);
  expect(answer.next_token).toBeUndefined();
  expect(answer.notifications[0]).toMatchObject({
    actions: ['notify', { set_tweak: 'sound', value: 'default' }],
    read: false,
    room_id: roomId,
    ts: test.clock.nowMs(),
    event: { event_id: eventId, type: 'm.room.message', sender: bob },
  });
  await test.core.receipts.set(alice, other, 'm.read', two);
  // What came before something one has said oneself is read as well.
  const reads = (await list()).notifications.map(({ read }: { read: boolean }) => read);
  expect(reads).toEqual([false, true, true]);
});

it('goes on where the last page ended', async () => {
  for (let count = 0; count < 5; count += 1) await rooms.say(roomId, bob, `page${count}`);
  const first = await list('?limit=2');
  expect(bodiesIn(first)).toEqual(['page4', 'page3']);
  const second = await list(`?limit=2&from=${first.next_token}`);
  expect(bodiesIn(second)).toEqual(['page2', 'page1']);
});

it('lists only highlights where asked to', async () => {
  await test.core.localEvents.send(roomId, {
    type: 'm.room.message',
    sender: bob,
    content: { msgtype: 'm.text', body: 'look', 'm.mentions': { user_ids: [alice] } },
  });
  await rooms.say(roomId, bob, 'after');
  expect(bodiesIn(await list('?only=highlight'))).toEqual(['look']);
});

it('has nothing for someone in no room, and takes no foreign token', async () => {
  expect(await list('', localUser('nobody'))).toEqual({ notifications: [] });
  expect((await list('?from=s1_1_1_1')).errcode).toBe('M_INVALID_PARAM');
});
