/** https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync, `use_state_after` */
import { type RoomServer, roomServer } from '../testing/room-server.ts';

let running: RoomServer;
beforeAll(async () => {
  running = await roomServer();
});
afterAll(() => running.stop());

const unstable = 'org.matrix.msc4222';

it.each([
  ['', ['state']],
  ['use_state_after=false', ['state']],
  ['use_state_after=true', ['state_after']],
  [`${unstable}.use_state_after=true`, [`${unstable}.state_after`]],
  [`${unstable}.use_state_after=false`, ['state']],
  // A client that knows both names reads the stable one.
  [`${unstable}.use_state_after=true&use_state_after=true`, ['state_after']],
  [`${unstable}.use_state_after=true&use_state_after=false`, [`${unstable}.state_after`]],
])('answers %j with %j', async (query, names) => {
  const alice = running.person('alice');
  const roomId = await alice.createRoom();
  for (let said = 0; said < 12; said += 1) await alice.say(roomId, 'hello');
  const joined = (await alice.get(`/sync?${query}`)).body.rooms.join[roomId];
  expect(Object.keys(joined).filter((name) => name.includes('state'))).toEqual(names);
  const types = joined[names[0] as string].events.map(({ type }: { type: string }) => type);
  expect(types).toContain('m.room.create');
});

it('answers the unstable question about rooms that were left', async () => {
  const [alice, bob] = [running.person('alice'), running.person('bob')];
  const roomId = await alice.createRoom();
  await bob.join(roomId);
  const since = (await bob.get('/sync')).body.next_batch;
  await alice.put(`/rooms/${encodeURIComponent(roomId)}/state/m.room.topic`, { topic: 'news' });
  await bob.post(`/rooms/${encodeURIComponent(roomId)}/leave`, {});
  const { body } = await bob.get(`/sync?since=${since}&${unstable}.use_state_after=true`);
  const left = body.rooms.leave[roomId];
  expect(Object.keys(left)).toContain(`${unstable}.state_after`);
  expect(Object.keys(left)).not.toContain('state');
});
