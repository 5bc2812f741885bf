import { idsIn, type RoomServer, roomServer } from '../testing/room-server.ts';

describe('GET /events', () => {
  let running: RoomServer;
  beforeAll(async () => {
    running = await roomServer();
  });
  afterAll(() => running.stop());

  it('begins at the present, and gives what comes after a token once', async () => {
    const alice = running.person('alice');
    const bob = running.person('bob');
    const [first, second] = [await alice.createRoom(), await alice.createRoom()];
    await bob.join(first);
    await bob.join(second);
    await alice.say(first, 'before');
    const start = await bob.get('/events?timeout=0');
    expect(start).toMatchObject({ status: 200, body: { chunk: [] } });
    expect(start.body.start).toBe(start.body.end);

    const sent = [await alice.say(first, 'one'), await alice.say(second, 'two')];
    const unseen = await alice.createRoom();
    await alice.say(unseen, 'not for bob');
    const { body } = await bob.get(`/events?timeout=0&from=${start.body.end}`);
    expect(body.start).toBe(start.body.end);
    const common = { type: 'm.room.message', sender: alice.userId };
    const message = (index: 0 | 1, roomId: string, text: string) =>
      expect.objectContaining({
        ...common,
        event_id: sent[index],
        room_id: roomId,
        content: { msgtype: 'm.text', body: text },
      });
    expect(body.chunk).toHaveLength(2);
    // Rooms come in any order.
    expect(body.chunk).toEqual(
      expect.arrayContaining([message(0, first, 'one'), message(1, second, 'two')]),
    );
    const rest = await bob.get(`/events?timeout=0&from=${body.end}`);
    expect(rest.body).toEqual({ start: body.end, end: body.end, chunk: [] });

    const one = await bob.get(`/events?timeout=0&from=${start.body.end}&room_id=${idsIn(second)}`);
    expect(one.body.chunk).toMatchObject([{ event_id: sent[1] }]);
    const elsewhere = await bob.get(
      `/events?timeout=0&from=${start.body.end}&room_id=${idsIn(unseen)}`,
    );
    expect(elsewhere.body.chunk).toEqual([]);
  });

  it('waits for an event, and for nothing else', async () => {
    const carol = running.person('carol');
    const dave = running.person('dave');
    const roomId = await carol.createRoom();
    await dave.join(roomId);
    const from = (await dave.get('/events?timeout=0')).body.end;
    let answered = false;
    const waiting = dave.get(`/events?timeout=30000&from=${from}`).then((answer) => {
      answered = true;
      return answer;
    });
    while (running.core.notifier.waiting === 0) await new Promise((done) => setImmediate(done));
    const typing = `/rooms/${idsIn(roomId)}/typing/${encodeURIComponent(carol.userId)}`;
    expect((await carol.put(typing, { typing: true, timeout: 30_000 })).status).toBe(200);
    // Woken by that, the reader has looked again once a request after it is answered.
    expect((await carol.get('/events')).status).toBe(200);
    expect(answered).toBe(false);
    const eventId = await carol.say(roomId, 'now');
    expect((await waiting).body.chunk).toMatchObject([{ event_id: eventId, room_id: roomId }]);
  });

  it('refuses a token that is none, and who has no access token', async () => {
    const alice = running.person('alice');
    expect(await alice.get('/events?from=nonsense')).toMatchObject({
      status: 400,
      body: { errcode: 'M_INVALID_PARAM' },
    });
    const nobody = await running.server.request('GET', '/_matrix/client/v3/events', {});
    expect([nobody.status, nobody.body.errcode]).toEqual([401, 'M_MISSING_TOKEN']);
  });
});
