import { createDiscovery, type Discovery } from '../../homeserver/discovery/create-discovery.ts';
import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { History, noHistoryFiller } from '../../homeserver/rooms/history.ts';
import { createSync } from '../../homeserver/sync/create-sync.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { type TestRooms, testRooms } from '../../homeserver/testing/test-rooms.ts';
import type { JsonObject } from '../../spec/event.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { getOneRoomEvent } from '../history/get-one-room-event.ts';
import { getRoomEvents } from '../history/get-room-events.ts';
import { tokenIsUser as auth } from '../testing/token-is-user.ts';
import { discoveryRoutes } from './routes.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];

let test: TestCore;
let rooms: TestRooms;
let discovery: Discovery;
let server: TestServer;
let roomId: RoomId;

beforeAll(async () => {
  test = await testCore();
  const { core } = test;
  rooms = testRooms(core);
  const history = new History({ ...core, db: core.database, filler: noHistoryFiller });
  discovery = createDiscovery(core, history, rooms.restrictedJoins);
  server = await serve([
    ...discoveryRoutes({ ...core, ...rooms, ...discovery, history, auth }),
    getOneRoomEvent({ ...core, history, auth }),
    getRoomEvents({ ...core, history, auth }),
  ]);
});
afterAll(async () => {
  await server.stop();
  await discovery.close();
  await test.close();
});
beforeEach(async () => {
  roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  await rooms.membership.join(bob, roomId);
});

const send = (sender: UserId, content: JsonObject, type = 'm.room.message') => {
  test.clock.advance(1000);
  return test.core.localEvents.send(roomId, { type, sender, content });
};
const text = (body: string) => ({ msgtype: 'm.text', body });
const relating = (relType: string, parent: EventId, more: JsonObject = {}): JsonObject => ({
  ...text('relating'),
  ...more,
  'm.relates_to': { rel_type: relType, event_id: parent },
});
const edit = (parent: EventId, body: string) =>
  relating('m.replace', parent, { 'm.new_content': text(body) });
const redact = (sender: UserId, redacts: EventId) =>
  test.core.localEvents.send(roomId, { type: 'm.room.redaction', sender, content: {}, redacts });

const get = async (path: string, token: UserId = alice) =>
  (await server.request('GET', `/_matrix/client/${path}`, { token })).body;
const related = (eventId: EventId, rest = '', token: UserId = alice) =>
  get(`v1/rooms/${roomId}/relations/${eventId}${rest}`, token);
const ids = (page: { chunk: { event_id: EventId }[] }) => page.chunk.map((event) => event.event_id);
const bundled = async (eventId: EventId, token: UserId = alice) =>
  (await get(`v3/rooms/${roomId}/event/${eventId}`, token)).unsigned['m.relations'];

describe('the relations of an event', () => {
  it('are listed newest first, or oldest first, by type of relation and of event', async () => {
    const root = await send(alice, text('root'));
    const one = await send(bob, relating('m.thread', root));
    const two = await send(
      bob,
      { 'm.relates_to': relating('m.annotation', root)['m.relates_to'] },
      'm.reaction',
    );
    const three = await send(alice, relating('m.thread', root));
    expect(ids(await related(root))).toEqual([three, two, one]);
    expect(ids(await related(root, '?dir=f'))).toEqual([one, two, three]);
    expect(ids(await related(root, '/m.thread'))).toEqual([three, one]);
    expect(ids(await related(root, '/m.annotation/m.reaction'))).toEqual([two]);
    expect(ids(await related(root, '/m.thread/m.reaction'))).toEqual([]);
    expect(ids(await related(one))).toEqual([]);
  });

  it('come in pages', async () => {
    const root = await send(alice, text('root'));
    const all: EventId[] = [];
    for (let count = 0; count < 5; count += 1)
      all.push(await send(bob, relating('m.reference', root)));
    for (const [dir, order] of [
      ['f', all],
      ['b', all.toReversed()],
    ] as const) {
      const first = await related(root, `?dir=${dir}&limit=2`);
      expect(ids(first)).toEqual(order.slice(0, 2));
      const second = await related(root, `?dir=${dir}&limit=2&from=${first.next_batch}`);
      expect(ids(second)).toEqual(order.slice(2, 4));
      expect(second.prev_batch).toBe(first.next_batch);
      const last = await related(root, `?dir=${dir}&limit=2&from=${second.next_batch}`);
      expect(ids(last)).toEqual(order.slice(4));
      expect(last.next_batch).toBeUndefined();
    }
  });

  it('include indirect ones where asked to', async () => {
    const root = await send(alice, text('root'));
    const reply = await send(bob, relating('m.thread', root));
    const reaction = await send(alice, relating('m.annotation', reply), 'm.reaction');
    expect(ids(await related(root, '?recurse=true'))).toEqual([reaction, reply]);
    expect((await related(root, '?recurse=true')).recursion_depth).toBe(3);
    expect(ids(await related(root, '?recurse=false'))).toEqual([reply]);
    expect(ids(await related(root, '/m.annotation?recurse=true'))).toEqual([reaction]);
  });

  it('leave out what was redacted', async () => {
    const root = await send(alice, text('root'));
    const gone = await send(bob, relating('m.reference', root));
    const kept = await send(bob, relating('m.reference', root));
    await redact(bob, gone);
    expect(ids(await related(root))).toEqual([kept]);
  });

  it('are not shown to those who may not see the event', async () => {
    const root = await send(alice, text('root'));
    expect((await related(root, '', localUser('eve'))).errcode).toBe('M_FORBIDDEN');
    const other = await rooms.roomCreator.create(alice, { preset: 'private_chat' });
    const elsewhere = await get(`v1/rooms/${other}/relations/${root}`);
    expect(elsewhere.errcode).toBe('M_NOT_FOUND');
    expect((await related(root, '?from=x')).errcode).toBe('M_INVALID_PARAM');
  });
});

describe('bundled with an event', () => {
  it('is its newest valid edit', async () => {
    const original = await send(alice, text('helo'));
    expect(await bundled(original)).toBeUndefined();
    const first = await send(alice, edit(original, 'hello'));
    await send(bob, edit(original, 'not mine'));
    await send(alice, relating('m.replace', original));
    expect((await bundled(original))['m.replace']).toMatchObject({
      event_id: first,
      sender: alice,
      content: { 'm.new_content': { body: 'hello' } },
    });
    const second = await send(alice, edit(original, 'Hello'));
    expect((await bundled(original))['m.replace'].event_id).toBe(second);
    expect(await bundled(second)).toBeUndefined();
    await redact(alice, second);
    expect((await bundled(original))['m.replace'].event_id).toBe(first);
    await redact(alice, original);
    expect(await bundled(original)).toBeUndefined();
  });

  it('is the thread that begins with it, with the newest event and its own edit', async () => {
    const root = await send(alice, text('root'));
    await send(bob, relating('m.thread', root));
    const latest = await send(bob, relating('m.thread', root));
    const editOfLatest = await send(bob, edit(latest, 'better'));
    const thread = (await bundled(root))['m.thread'];
    expect(thread).toMatchObject({
      count: 2,
      current_user_participated: true,
      latest_event: {
        event_id: latest,
        unsigned: { 'm.relations': { 'm.replace': { event_id: editOfLatest } } },
      },
    });
    const carol = localUser('carol');
    await rooms.membership.join(carol, roomId);
    expect((await bundled(root, carol))['m.thread'].current_user_participated).toBe(false);
    expect((await bundled(root, bob))['m.thread'].current_user_participated).toBe(true);
  });

  it('are the events that refer to it', async () => {
    const poll = await send(alice, text('poll'));
    const [one, two] = [
      await send(bob, relating('m.reference', poll)),
      await send(alice, relating('m.reference', poll)),
    ];
    expect(await bundled(poll)).toEqual({
      'm.reference': { chunk: [{ event_id: one }, { event_id: two }] },
    });
  });

  it('is nothing by those one ignores, nor what came after one left', async () => {
    const dave = localUser('dave');
    await rooms.membership.join(dave, roomId);
    const root = await send(alice, text('root'));
    const seen = await send(alice, relating('m.thread', root));
    await send(bob, relating('m.thread', root));
    await test.core.accountData.put(dave, undefined, 'm.ignored_user_list', {
      ignored_users: { [bob]: {} },
    });
    expect((await bundled(root, dave))['m.thread']).toMatchObject({
      count: 1,
      latest_event: { event_id: seen },
    });
    await rooms.membership.leave(dave, roomId);
    await send(alice, relating('m.thread', root));
    expect((await bundled(root, dave))['m.thread'].count).toBe(1);
    expect((await bundled(root, alice))['m.thread'].count).toBe(3);
  });

  it('comes with pages of history, and with sync after a gap', async () => {
    const original = await send(alice, text('helo'));
    const edited = await send(alice, edit(original, 'hello'));
    const page = await get(`v3/rooms/${roomId}/messages?dir=b&limit=2`);
    expect(page.chunk[1].unsigned['m.relations']['m.replace'].event_id).toBe(edited);
    const sync = createSync(test.core);
    const shown = async (limit: number) => {
      const answer = JSON.parse(
        await sync.sync({
          userId: bob,
          deviceId: undefined,
          filter: compileFilter({ room: { timeline: { limit } } }),
          since: undefined,
          fullState: false,
          useStateAfter: false,
          timeoutMs: 0,
        }),
      );
      const { events } = answer.rooms.join[roomId].timeline;
      return events.at(-2).unsigned['m.relations']?.['m.replace'].event_id;
    };
    expect(await shown(2)).toBe(edited);
    expect(await shown(50)).toBeUndefined();
  });
});

describe('sending a relation', () => {
  let transactions = 0;
  const attempt = (sender: UserId, content: JsonObject, type = 'm.room.message') =>
    rooms.eventSender
      .message(
        { userId: sender, deviceId: undefined, isGuest: false, isAdmin: false, suspended: false },
        { roomId, type, txnId: `t${transactions++}`, content },
      )
      .then(
        () => undefined,
        (error: { errcode: string; status: number }) => [error.status, error.errcode],
      );
  const reaction = (parent: EventId, key: string): JsonObject => ({
    'm.relates_to': { rel_type: 'm.annotation', event_id: parent, key },
  });

  it('starts no thread within another relation', async () => {
    const root = await send(alice, text('root'));
    const reply = await send(alice, relating('m.thread', root));
    expect(await attempt(bob, relating('m.thread', reply))).toEqual([400, 'M_UNKNOWN']);
    expect(await attempt(bob, relating('m.thread', root))).toBeUndefined();
  });

  it('annotates an event once with each key and type', async () => {
    const root = await send(alice, text('root'));
    expect(await attempt(bob, reaction(root, '👍'), 'm.reaction')).toBeUndefined();
    const again = await attempt(bob, reaction(root, '👍'), 'm.reaction');
    expect(again).toEqual([400, 'M_DUPLICATE_ANNOTATION']);
    expect(await attempt(bob, reaction(root, '👎'), 'm.reaction')).toBeUndefined();
    expect(await attempt(alice, reaction(root, '👍'), 'm.reaction')).toBeUndefined();
    const [thumb] = ids(await related(root, '?dir=f')) as [EventId];
    await redact(bob, thumb);
    expect(await attempt(bob, reaction(root, '👍'), 'm.reaction')).toBeUndefined();
  });
});

describe('the threads of a room', () => {
  const threads = (query = '', token: UserId = alice) =>
    get(`v1/rooms/${roomId}/threads${query}`, token);

  it('are listed by their newest event, in pages', async () => {
    const roots: EventId[] = [];
    for (const name of ['one', 'two', 'three']) roots.push(await send(alice, text(name)));
    const [one, two, three] = roots as [EventId, EventId, EventId];
    for (const root of [three, two, one, two]) await send(bob, relating('m.thread', root));
    const all = await threads();
    expect(ids(all)).toEqual([two, one, three]);
    expect(all.chunk[0].unsigned['m.relations']['m.thread'].count).toBe(2);
    const first = await threads('?limit=2');
    expect(ids(first)).toEqual([two, one]);
    const second = await threads(`?limit=2&from=${first.next_batch}`);
    expect(ids(second)).toEqual([three]);
    expect(second.next_batch).toBeUndefined();
  });

  it('can be those one has taken part in', async () => {
    const mine = await send(alice, text('mine'));
    const joined = await send(bob, text('joined'));
    const other = await send(bob, text('other'));
    for (const root of [mine, joined, other]) await send(bob, relating('m.thread', root));
    await send(alice, relating('m.thread', joined));
    expect(ids(await threads('?include=participated'))).toEqual([joined, mine]);
    expect(ids(await threads('?include=all'))).toEqual([joined, other, mine]);
  });

  it('are for members', async () => {
    expect((await threads('', localUser('eve'))).errcode).toBe('M_FORBIDDEN');
    expect((await threads('?include=none')).errcode).toBe('M_INVALID_PARAM');
  });
});
