import { insertUser, markDeactivated } from '../../homeserver/storage/users.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { testRooms } from '../../homeserver/testing/test-rooms.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { ServerVisibility } from './server-visibility.ts';

const [alice, erin] = [localUser('alice'), localUser('erin')];

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

it('gives what erased people said redacted to servers that came later', async () => {
  const { core } = test;
  const rooms = testRooms(core);
  const roomId = await rooms.roomCreator.create(alice, {
    preset: 'public_chat',
    initialState: [
      {
        type: 'm.room.history_visibility',
        stateKey: '',
        content: { history_visibility: 'world_readable' },
      },
    ],
  });
  await rooms.membership.join(erin, roomId);
  const eventId = await rooms.say(roomId, erin, 'private thing');
  const room = await core.registry.find(roomId);
  const stored = await core.events.byId(eventId);
  if (room === undefined || stored === undefined) throw new Error('not there');
  const visibility = new ServerVisibility(core);
  const late = 'late.test' as ServerName;
  expect(await visibility.pdusFor(late, room, [stored])).toEqual([
    expect.stringContaining('private thing'),
  ]);
  await core.database.transaction(async (tx) => {
    const account = { passwordHash: undefined, isAdmin: false, isGuest: false, createdAtMs: 0 };
    await insertUser(tx, { userId: erin, appserviceId: undefined, ...account });
    await markDeactivated(tx, erin, true, 1);
  });
  const [pdu] = await visibility.pdusFor(late, room, [stored]);
  expect(JSON.parse(pdu as string)).toMatchObject({ sender: erin, content: {} });
  const [own] = await visibility.pdusFor(core.serverName, room, [stored]);
  expect(own).toContain('private thing');
});
