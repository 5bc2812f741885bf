import type { EventId, RoomId } from '../../../spec/identifiers.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
let carol: Person;
let roomId: RoomId;
let events: EventId[];
beforeAll(async () => {
  test = await roomServer();
  [alice, bob, carol] = ['alice', 'bob', 'carol'].map(test.person) as [Person, Person, Person];
});
afterAll(() => test.stop());
beforeEach(async () => {
  roomId = await alice.createRoom();
  await bob.join(roomId);
  events = [];
  for (const body of ['one', 'two', 'three']) events.push(await alice.say(roomId, body));
});

const receipt = (person: Person, type: string, eventId: string | undefined, body: object = {}) =>
  person.post(`/rooms/${idsIn(roomId)}/receipt/${type}/${eventId}`, body);

/** `[type, event, thread]` of one user's receipts as the database has them. */
const stored = async (person: Person) => {
  const room = await test.core.registry.find(roomId);
  const rows = (await test.core.receipts.of([room?.nid ?? 0])).get(room?.nid ?? 0) ?? [];
  return rows
    .filter(({ userId }) => userId === person.userId)
    .map((row) => [row.type, events.indexOf(row.eventId), row.threadId]);
};

describe('receipts', () => {
  it('move forward only, apart by type and thread', async () => {
    expect(await receipt(bob, 'm.read', events[1])).toMatchObject({ status: 200, body: {} });
    await receipt(bob, 'm.read', events[0]);
    expect(await stored(bob)).toEqual([['m.read', 1, '']]);
    await receipt(bob, 'm.read.private', events[0]);
    await receipt(bob, 'm.read', events[0], { thread_id: 'main' });
    await receipt(bob, 'm.read', events[2]);
    expect(await stored(bob)).toEqual([
      ['m.read.private', 0, ''],
      ['m.read', 0, 'main'],
      ['m.read', 2, ''],
    ]);
  });

  it('of many at one time keep the furthest', async () => {
    await Promise.all([2, 0, 1].map((index) => receipt(bob, 'm.read', events[index])));
    expect(await stored(bob)).toEqual([['m.read', 2, '']]);
  });

  it('are told from memory as from the database', async () => {
    const { position } = test.core.log;
    await receipt(bob, 'm.read', events[0]);
    await receipt(bob, 'm.read', events[1]);
    await receipt(alice, 'm.read.private', events[1]);
    const nid = (await test.core.registry.find(roomId))?.nid ?? 0;
    const read = () => test.core.receipts.changesSince(nid, position, test.core.log.position);
    const recent = await read();
    expect(recent.map(({ userId, type }) => [userId, type])).toEqual([
      [bob.userId, 'm.read'],
      [alice.userId, 'm.read.private'],
    ]);
    test.core.receipts.reset(test.core.log.position);
    expect(await read()).toEqual(recent);
  });

  it('know threads', async () => {
    const reply = async (to: string | undefined, relation: object = { rel_type: 'm.thread' }) => {
      const path = `/rooms/${idsIn(roomId)}/send/m.room.message/${Math.random()}`;
      const content = { body: 'x', 'm.relates_to': { ...relation, event_id: to } };
      return (await alice.put(path, content)).body.event_id as EventId;
    };
    const inThread = await reply(events[0]);
    const reaction = await reply(inThread, { rel_type: 'm.annotation', key: 'x' });
    const status = async (eventId: string | undefined, threadId: unknown) =>
      (await receipt(bob, 'm.read', eventId, { thread_id: threadId })).status;
    expect(await status(inThread, events[0])).toBe(200);
    expect(await status(reaction, events[0])).toBe(200);
    expect(await status(events[1], 'main')).toBe(200);
    expect(await status(inThread, 'main')).toBe(400);
    expect(await status(inThread, events[1])).toBe(400);
    expect(await status(events[1], '')).toBe(400);
    expect(await status(events[1], 5)).toBe(400);
    expect(await receipt(bob, 'm.fully_read', events[1], { thread_id: 'main' })).toMatchObject({
      status: 400,
      body: { errcode: 'M_INVALID_PARAM' },
    });
  });

  it('are refused for other rooms, unknown events and types, and strangers', async () => {
    const other = await alice.createRoom();
    const elsewhere = await alice.say(other, 'x');
    expect((await receipt(bob, 'm.read', elsewhere)).body.errcode).toBe('M_NOT_FOUND');
    expect((await receipt(bob, 'm.read', '$none:here.test')).body.errcode).toBe('M_NOT_FOUND');
    expect((await receipt(bob, 'm.seen', events[0])).body.errcode).toBe('M_INVALID_PARAM');
    expect((await receipt(carol, 'm.read', events[0])).body.errcode).toBe('M_FORBIDDEN');
  });
});

describe('read markers', () => {
  it('set the marker and both receipts', async () => {
    const answer = await bob.post(`/rooms/${idsIn(roomId)}/read_markers`, {
      'm.fully_read': events[2],
      'm.read': events[1],
      'm.read.private': events[2],
    });
    expect(answer).toMatchObject({ status: 200, body: {} });
    expect(new Set(await stored(bob))).toEqual(
      new Set([
        ['m.read', 1, ''],
        ['m.read.private', 2, ''],
      ]),
    );
    const marker = () => test.core.accountData.get(bob.userId, roomId, 'm.fully_read');
    expect(await marker()).toEqual({ event_id: events[2] });
    await receipt(bob, 'm.fully_read', events[0]);
    expect(await marker()).toEqual({ event_id: events[0] });
    const { body } = await bob.get('/sync?timeout=0');
    expect(body.rooms.join[roomId].account_data.events).toContainEqual({
      type: 'm.fully_read',
      content: { event_id: events[0] },
    });
  });

  it('are refused like receipts', async () => {
    const path = `/rooms/${idsIn(roomId)}/read_markers`;
    expect((await carol.post(path, { 'm.read': events[0] })).status).toBe(403);
    expect((await bob.post(path, { 'm.read': 'x' })).status).toBe(400);
    expect((await bob.post(path, {})).status).toBe(200);
  });
});
