import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob] = ['alice', 'bob'].map(test.person) as [Person, Person];
});
afterAll(() => test.stop());

it('keeps reports of rooms, events and users', async () => {
  const roomId = await alice.createRoom();
  const eventId = await alice.say(roomId, 'x');
  const room = `/rooms/${idsIn(roomId)}/report`;
  expect((await bob.post(room, { reason: 'spam' })).body).toEqual({});
  expect((await bob.post('/users/@x:here.test/report', { reason: '' })).body).toEqual({});
  expect((await bob.post(`${room}/${eventId}`, {})).body.errcode).toBe('M_NOT_FOUND');
  await bob.join(roomId);
  expect((await bob.post(`${room}/${eventId}`, {})).body).toEqual({});
  const { rows } = await test.core.database.query({
    text: `SELECT reporter, room_id, event_id, user_id, reason FROM reports ORDER BY report_id`,
  });
  expect(rows).toEqual([
    { reporter: bob.userId, room_id: roomId, event_id: null, user_id: null, reason: 'spam' },
    { reporter: bob.userId, room_id: null, event_id: null, user_id: '@x:here.test', reason: '' },
    {
      reporter: bob.userId,
      room_id: roomId,
      event_id: eventId,
      user_id: alice.userId,
      reason: null,
    },
  ]);
});

it('refuses what does not exist, is no reason, or is too long', async () => {
  expect((await bob.post('/rooms/!none:here.test/report', { reason: 'x' })).status).toBe(404);
  const roomId = await alice.createRoom();
  const path = `/rooms/${idsIn(roomId)}/report`;
  expect((await bob.post(path, {})).body.errcode).toBe('M_MISSING_PARAM');
  expect((await bob.post(path, { reason: 1 })).body.errcode).toBe('M_BAD_JSON');
  expect((await bob.post(path, { reason: 'x'.repeat(20_000) })).status).toBe(413);
});
