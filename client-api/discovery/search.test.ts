import { createDiscovery, type Discovery } from '../../homeserver/discovery/create-discovery.ts';
import type { SearchRequest } from '../../homeserver/discovery/event-search.ts';
import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { History, noHistoryFiller } from '../../homeserver/rooms/history.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { type TestRooms, testRooms } from '../../homeserver/testing/test-rooms.ts';
import type { JsonObject } from '../../spec/event.ts';
import { compileRoomEventFilter } from '../../spec/filter.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
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
  server = await serve(discoveryRoutes({ ...core, ...rooms, ...discovery, history, auth }));
  roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat', name: 'Astronomy' });
});
afterAll(async () => {
  await server.stop();
  await discovery.close();
  await test.close();
});

const search = async (
  term: string,
  criteria: JsonObject = {},
  { token = alice, next = '' }: { token?: UserId; next?: string } = {},
) => {
  const query = next === '' ? '' : `?next_batch=${next}`;
  const { body } = await server.request('POST', `/_matrix/client/v3/search${query}`, {
    token,
    body: { search_categories: { room_events: { search_term: term, ...criteria } } },
  });
  return body.search_categories?.room_events ?? body;
};

type Found = { results: { result: { event_id: string; content: { body: string } } }[] };
const bodies = (found: Found) => found.results.map(({ result }) => result.content.body);

describe('POST /search', () => {
  it('finds the events that have all of the words, in any case', async () => {
    await rooms.say(roomId, alice, 'The planet Mars is red.');
    await rooms.say(roomId, alice, 'Men are from MARS, or so they say');
    await rooms.say(roomId, alice, 'Venus, on the other hand');
    expect(bodies(await search('mars'))).toHaveLength(2);
    const found = await search('from Mars!');
    expect(bodies(found)).toEqual(['Men are from MARS, or so they say']);
    expect(found).toMatchObject({ count: 1, highlights: ['from', 'mars'] });
    expect(found.next_batch).toBeUndefined();
    expect(bodies(await search('jupiter'))).toEqual([]);
    expect(bodies(await search("' | : &"))).toEqual([]);
  });

  it('looks into names and topics too, or only where it is told to', async () => {
    expect((await search('astronomy')).results[0].result.type).toBe('m.room.name');
    expect((await search('astronomy', { keys: ['content.body'] })).count).toBe(0);
    const wrong = await search('astronomy', { keys: ['content.x'] });
    expect(wrong.errcode).toBe('M_INVALID_PARAM');
  });

  it('gives the newest first where asked to, in pages that hold still', async () => {
    for (let count = 0; count < 5; count += 1) await rooms.say(roomId, alice, `comet ${count}`);
    const criteria = { order_by: 'recent', filter: { limit: 2 } };
    const first = await search('comet', criteria);
    expect(bodies(first)).toEqual(['comet 4', 'comet 3']);
    await rooms.say(roomId, alice, 'comet new');
    const second = await search('comet', criteria, { next: first.next_batch });
    expect(bodies(second)).toEqual(['comet 2', 'comet 1']);
    const third = await search('comet', criteria, { next: second.next_batch });
    expect(bodies(third)).toEqual(['comet 0']);
    expect(third.next_batch).toBeUndefined();
    expect((await search('comet', criteria, { next: 'x' })).errcode).toBe('M_INVALID_PARAM');
  });

  it('finds nothing that the searcher may not read', async () => {
    await rooms.say(roomId, alice, 'a secret nebula');
    expect((await search('nebula', {}, { token: bob })).count).toBe(0);
    const carol = localUser('carol');
    const closed = await rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      initialState: [
        {
          type: 'm.room.history_visibility',
          stateKey: '',
          content: { history_visibility: 'joined' },
        },
      ],
    });
    await rooms.say(closed, alice, 'quasar before');
    await rooms.membership.join(carol, closed);
    await rooms.say(closed, alice, 'quasar within');
    await rooms.membership.leave(carol, closed);
    await rooms.say(closed, alice, 'quasar after');
    expect(bodies(await search('quasar', {}, { token: carol }))).toEqual(['quasar within']);
  });

  it('forgets what was redacted', async () => {
    const eventId = await rooms.say(roomId, alice, 'supernova');
    expect((await search('supernova')).count).toBe(1);
    await test.core.localEvents.send(roomId, {
      type: 'm.room.redaction',
      sender: alice,
      content: {},
      redacts: eventId,
    });
    expect((await search('supernova')).count).toBe(0);
    const stored = await test.core.events.byId(eventId);
    const { rows } = await test.core.database.query({
      text: 'SELECT words FROM event_words WHERE room_nid = $1 AND event_nid = $2',
      values: [stored?.roomNid, stored?.nid],
    });
    expect(rows).toEqual([]);
  });

  it('obeys the filter', async () => {
    await rooms.membership.join(bob, roomId);
    await rooms.say(roomId, alice, 'galaxy of alice');
    await rooms.say(roomId, bob, 'galaxy of bob');
    const other = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
    await rooms.say(other, alice, 'galaxy elsewhere');
    const found = async (filter: JsonObject) => bodies(await search('galaxy', { filter }));
    expect(await found({ senders: [bob] })).toEqual(['galaxy of bob']);
    expect(await found({ rooms: [other] })).toEqual(['galaxy elsewhere']);
    expect(await found({ not_rooms: [roomId] })).toEqual(['galaxy elsewhere']);
  });

  it('gives context, profiles, state and groups where asked to', async () => {
    const other = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
    for (const body of ['one', 'two', 'pulsar', 'four', 'five']) await rooms.say(other, bob, body);
    const found = await search(
      'pulsar',
      {
        event_context: { before_limit: 1, after_limit: 2, include_profile: true },
        include_state: true,
        groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
      },
      { token: bob },
    );
    const [{ context, result }] = found.results;
    const shown = (events: { content: { body: string } }[]) =>
      events.map(({ content }) => content.body);
    expect(shown(context.events_before)).toEqual(['two']);
    expect(shown(context.events_after)).toEqual(['four', 'five']);
    expect(Object.keys(context.profile_info)).toEqual([bob]);
    expect(context.start).toMatch(/^t1_/);
    expect(found.state[other].map(({ type }: { type: string }) => type)).toContain('m.room.create');
    const group = { order: 1, results: [result.event_id] };
    expect(found.groups).toEqual({ room_id: { [other]: group }, sender: { [bob]: group } });
  });

  it('survives a restart of the index', async () => {
    await rooms.say(roomId, alice, 'meteor');
    const again = createDiscovery(
      test.core,
      new History({ ...test.core, db: test.core.database, filler: noHistoryFiller }),
      rooms.restrictedJoins,
    );
    const request: SearchRequest = {
      userId: alice,
      term: 'meteor',
      keys: ['content.body'],
      filter: compileRoomEventFilter({}),
      orderBy: 'rank',
      limit: 10,
      from: undefined,
    };
    expect((await again.eventSearch.search(request)).count).toBe(1);
    expect((await discovery.eventSearch.search(request)).count).toBe(1);
    await again.close();
  });
});
