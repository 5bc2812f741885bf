import { idsIn, type RoomServer, roomServer } from '../testing/room-server.ts';

/** Of events in rooms only this state. */
const filter = encodeURIComponent(
  JSON.stringify({
    room: {
      timeline: { types: [] },
      state: { types: ['org.example.state'] },
      ephemeral: { types: [] },
    },
    presence: { types: [] },
  }),
);

describe('a sync after a room was left', () => {
  let running: RoomServer;
  beforeAll(async () => {
    running = await roomServer();
  });
  afterAll(() => running.stop());

  it('has the whole state of a room that was joined and left since the last', async () => {
    const alice = running.person('alice');
    const bob = running.person('bob');
    const roomId = await alice.createRoom();
    const put = await alice.put(`/rooms/${idsIn(roomId)}/state/org.example.state/`, { a: 1 });
    expect(put.status).toBe(200);
    const { next_batch: since } = (await bob.get(`/sync?filter=${filter}`)).body;
    await bob.join(roomId);
    expect((await bob.post(`/rooms/${idsIn(roomId)}/leave`, {})).status).toBe(200);
    const { body } = await bob.get(`/sync?filter=${filter}&since=${since}`);
    expect(body.rooms.leave[roomId].state.events).toMatchObject([
      { type: 'org.example.state', content: { a: 1 } },
    ]);
  });
});
