import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob] = ['alice', 'bob'].map(test.person) as [Person, Person];
});
afterAll(() => test.stop());

describe('tags', () => {
  it('are set, listed, synced and removed', async () => {
    const roomId = await alice.createRoom();
    const tags = `/user/${alice.userId}/rooms/${idsIn(roomId)}/tags`;
    expect((await alice.get(tags)).body).toEqual({ tags: {} });
    const set = await Promise.all([
      alice.put(`${tags}/m.favourite`, { order: 0.5 }),
      alice.put(`${tags}/u.work`, {}),
      alice.put(`${tags}/u.play`, { extra: true }),
    ]);
    expect(set.map(({ status }) => status)).toEqual([200, 200, 200]);
    const all = { 'm.favourite': { order: 0.5 }, 'u.work': {}, 'u.play': { extra: true } };
    expect((await alice.get(tags)).body).toEqual({ tags: all });
    const { body } = await alice.get('/sync?timeout=0');
    expect(body.rooms.join[roomId].account_data.events).toEqual([
      { type: 'm.tag', content: { tags: all } },
    ]);
    expect((await alice.delete(`${tags}/u.work`)).body).toEqual({});
    expect((await alice.delete(`${tags}/u.none`)).status).toBe(200);
    expect(Object.keys((await alice.get(tags)).body.tags)).toEqual(['m.favourite', 'u.play']);
  });

  it('are one’s own, and have an order between 0 and 1', async () => {
    const roomId = await alice.createRoom();
    const tags = `/user/${alice.userId}/rooms/${idsIn(roomId)}/tags`;
    expect((await bob.get(tags)).body.errcode).toBe('M_FORBIDDEN');
    expect((await bob.put(`${tags}/x`, {})).body.errcode).toBe('M_FORBIDDEN');
    expect((await bob.delete(`${tags}/x`)).body.errcode).toBe('M_FORBIDDEN');
    expect((await alice.put(`${tags}/x`, { order: 2 })).status).toBe(400);
    expect((await alice.put(`${tags}/${'x'.repeat(256)}`, {})).body.errcode).toBe(
      'M_INVALID_PARAM',
    );
  });
});
