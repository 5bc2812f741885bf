import type { RoomId } from '../../../spec/identifiers.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
let roomId: RoomId;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob] = ['alice', 'bob'].map(test.person) as [Person, Person];
  roomId = await alice.createRoom();
  await bob.join(roomId);
});
afterAll(() => test.stop());

const type = (person: Person, as: Person, body: object) =>
  person.put(`/rooms/${idsIn(roomId)}/typing/${as.userId}`, body);
const nid = async (): Promise<number> => (await test.core.registry.find(roomId))?.nid ?? 0;
const typing = async () => test.core.typing.usersIn(await nid());

describe('typing', () => {
  it('is seen until it stops or lapses, and wakes whoever waits', async () => {
    const { next_batch: since } = (await bob.get('/sync?timeout=0')).body;
    const waiting = bob.get(`/sync?timeout=20000&since=${since}`);
    expect(await type(alice, alice, { typing: true, timeout: 5_000 })).toMatchObject({
      status: 200,
      body: {},
    });
    expect((await waiting).body.rooms.join[roomId].ephemeral.events).toEqual([
      { type: 'm.typing', content: { user_ids: [alice.userId] } },
    ]);
    const { serial } = test.core.typing;
    await type(alice, alice, { typing: true, timeout: 500_000 });
    expect(test.core.typing.serial).toBe(serial);
    test.clock.advance(119_000);
    test.core.typing.expire();
    expect(await typing()).toEqual([alice.userId]);
    test.clock.advance(2_000);
    test.core.typing.expire();
    expect(await typing()).toEqual([]);
    expect(test.core.typing.changedSince(await nid(), serial)).toBe(true);
    await type(bob, bob, { typing: true });
    await type(bob, bob, { typing: false });
    expect(await typing()).toEqual([]);
  });

  it('ends when someone leaves, and is told to whoever tells other servers', async () => {
    const told: [string, boolean][] = [];
    test.core.typing.onLocalChange(({ userId, typing: now }) => told.push([userId, now]));
    await type(bob, bob, { typing: true });
    await bob.post(`/rooms/${idsIn(roomId)}/leave`, {});
    expect(await typing()).toEqual([]);
    expect(told).toEqual([
      [bob.userId, true],
      [bob.userId, false],
    ]);
  });

  it('is refused for others, and outside the room', async () => {
    expect(await type(alice, bob, { typing: true })).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    const carol = test.person('carol');
    expect((await type(carol, carol, { typing: true })).body.errcode).toBe('M_FORBIDDEN');
    expect((await type(alice, alice, {})).body.errcode).toBe('M_MISSING_PARAM');
    expect((await type(alice, alice, { typing: 'yes' })).body.errcode).toBe('M_BAD_JSON');
  });
});
