import { eraseOwnData } from '../../homeserver/storage/erasure.ts';
import { insertUser, markDeactivated } from '../../homeserver/storage/users.ts';
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let erin: Person;
let witness: Person;
let newcomer: Person;
let roomId: RoomId;
let said: EventId;

const event = async (person: Person) =>
  (await person.get(`/rooms/${idsIn(roomId)}/event/${encodeURIComponent(said)}`)).body;

beforeAll(async () => {
  test = await roomServer();
  [alice, erin, witness, newcomer] = ['alice', 'erin', 'witness', 'newcomer'].map(test.person) as [
    Person,
    Person,
    Person,
    Person,
  ];
  const { database } = test.core;
  roomId = await alice.createRoom({ preset: 'public_chat' });
  await erin.join(roomId);
  await erin.put(`/rooms/${idsIn(roomId)}/state/m.room.member/${erin.userId}`, {
    membership: 'join',
    displayname: 'Erin Private',
  });
  said = await erin.say(roomId, 'private thing');
  await alice.say(roomId, 'something else');
  await witness.join(roomId);
  await database.transaction(async (tx) => {
    await insertUser(tx, {
      userId: erin.userId,
      passwordHash: undefined,
      isAdmin: false,
      isGuest: false,
      appserviceId: undefined,
      createdAtMs: 0,
    });
    await markDeactivated(tx, erin.userId, true, 1);
    await eraseOwnData(tx, erin.userId);
  });
  await erin.post(`/rooms/${idsIn(roomId)}/leave`, {});
  await newcomer.join(roomId);
});
afterAll(() => test.stop());

describe('what an erased person sent', () => {
  it('stays as it was for those who could read it', async () => {
    for (const person of [alice, witness]) {
      expect((await event(person)).content).toEqual({ msgtype: 'm.text', body: 'private thing' });
    }
  });

  it('is redacted for those who come later, wherever they read', async () => {
    expect(await event(newcomer)).toMatchObject({ sender: erin.userId, content: {} });
    const path = `/rooms/${idsIn(roomId)}`;
    const lazy = encodeURIComponent(JSON.stringify({ lazy_load_members: true }));
    const answers = [
      await newcomer.get(`${path}/messages?dir=b&limit=100`),
      await newcomer.get(`${path}/messages?dir=b&limit=100&filter=${lazy}`),
      await newcomer.get(`${path}/context/${encodeURIComponent(said)}?limit=50`),
      await newcomer.get(`${path}/state`),
      await newcomer.get(`${path}/members`),
      await newcomer.get(
        `/sync?filter=${encodeURIComponent('{"room":{"timeline":{"limit":50}}}')}`,
      ),
    ];
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(text).not.toMatch(/private thing|Erin Private/);
    }
    expect(answers[0]?.text).toContain('something else');
  });
});
