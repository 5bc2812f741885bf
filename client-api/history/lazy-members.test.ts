import type { RoomId } from '../../spec/identifiers.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
let roomId: RoomId;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob] = ['alice', 'bob'].map(test.person) as [Person, Person];
  roomId = await alice.createRoom({ preset: 'public_chat' });
});
afterAll(() => test.stop());

const lazy = `filter=${encodeURIComponent(JSON.stringify({ lazy_load_members: true }))}`;
const setMember = (person: Person, content: object) =>
  person.put(`/rooms/${idsIn(roomId)}/state/m.room.member/${person.userId}`, content);
const contents = (state: { state_key: string; content: object }[]) =>
  Object.fromEntries(state.map((event) => [event.state_key, event.content]));

describe('lazily loaded members of history', () => {
  it('are who the senders were then, though they left or have other names now', async () => {
    await bob.join(roomId);
    await setMember(bob, { membership: 'join', displayname: 'Bob' });
    await setMember(alice, { membership: 'join', displayname: 'Alice' });
    await alice.say(roomId, 'hello');
    const said = await bob.say(roomId, 'hi');
    const { body: page } = await alice.get(`/rooms/${idsIn(roomId)}/messages?dir=b&limit=2`);
    await bob.post(`/rooms/${idsIn(roomId)}/leave`, {});
    await setMember(alice, { membership: 'join', displayname: 'Other' });
    const path = `/rooms/${idsIn(roomId)}`;
    const then = {
      [alice.userId]: { membership: 'join', displayname: 'Alice' },
      [bob.userId]: { membership: 'join', displayname: 'Bob' },
    };
    const messages = await alice.get(`${path}/messages?dir=b&limit=2&from=${page.start}&${lazy}`);
    expect(contents(messages.body.state)).toEqual(then);
    const context = await alice.get(`${path}/context/${said}?limit=2&${lazy}`);
    expect(contents(context.body.state)).toMatchObject({ [bob.userId]: then[bob.userId] });
    const asBob = await bob.get(`${path}/messages?dir=b&limit=3&${lazy}`);
    expect(contents(asBob.body.state)).toEqual(then);
  });
});
