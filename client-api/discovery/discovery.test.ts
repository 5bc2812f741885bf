import { createDiscovery, type Discovery } from '../../homeserver/discovery/create-discovery.ts';
import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import { History, noHistoryFiller } from '../../homeserver/rooms/history.ts';
import { putProfileField } from '../../homeserver/storage/profiles.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { type TestRooms, testRooms } from '../../homeserver/testing/test-rooms.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { tokenIsUser } from '../testing/token-is-user.ts';
import { discoveryRoutes } from './routes.ts';

let test: TestCore;
let rooms: TestRooms;
let discovery: Discovery;
let server: TestServer;
let people = 0;

beforeAll(async () => {
  test = await testCore();
  const { core } = test;
  rooms = testRooms(core);
  const history = new History({ ...core, db: core.database, filler: noHistoryFiller });
  discovery = createDiscovery(core, history, rooms.restrictedJoins);
  server = await serve(
    discoveryRoutes({ ...core, ...rooms, ...discovery, history, auth: tokenIsUser }),
  );
});
afterAll(async () => {
  await server.stop();
  await discovery.close();
  await test.close();
});

const newPerson = (name: string): UserId => localUser(`${name}${people++}`);
const get = (token: UserId, path: string) =>
  server.request('GET', `/_matrix/client/v1${path}`, { token });
const newRoom = (creator: UserId, preset: 'public_chat' | 'private_chat' = 'public_chat') =>
  rooms.roomCreator.create(creator, { preset });
const setState = (roomId: RoomId, sender: UserId, type: string, content: JsonObject, key = '') =>
  core().localEvents.send(roomId, { type, sender, content, stateKey: key });
const core = () => test.core;

describe('POST /user_directory/search', () => {
  const search = async (token: UserId, searchTerm: string, limit?: number) =>
    (
      await server.request('POST', '/_matrix/client/v3/user_directory/search', {
        token,
        body: { search_term: searchTerm, limit },
      })
    ).body;
  const found = async (token: UserId, searchTerm: string) =>
    (await search(token, searchTerm)).results.map((user: { user_id: string }) => user.user_id);
  const renameIn = (roomId: RoomId, user: UserId, displayname: string) =>
    setState(roomId, user, 'm.room.member', { membership: 'join', displayname }, user);
  const rename = async (roomId: RoomId, user: UserId, displayname: string) => {
    await core().database.transaction((tx) =>
      putProfileField(tx, user, 'displayname', displayname),
    );
    await renameIn(roomId, user, displayname);
  };

  it('finds people by parts of the words of their names, in any case', async () => {
    const [alice, finder] = [newPerson('aurelia'), newPerson('finder')];
    const roomId = await newRoom(alice);
    await rename(roomId, alice, 'Zoë Müller-Lüdenscheidt');
    const terms = ['zoë', 'MÜLL', 'lüden zo', 'aurel', 'scheidt', 'ülle', 'üdensch zo', 'relia'];
    for (const term of [...terms, alice, alice.slice(0, 8)]) {
      expect(await found(finder, term)).toEqual([alice]);
    }
    expect(await found(finder, 'zoë schmidt')).toEqual([]);
    expect((await search(finder, 'zoë')).results[0].display_name).toBe('Zoë Müller-Lüdenscheidt');
    await rename(roomId, alice, 'Somebody Else');
    expect(await found(finder, 'zoë')).toEqual([]);
    expect(await found(finder, 'somebody')).toEqual([alice]);
  });

  it('knows nobody by a name that they have in one room alone', async () => {
    const [alice, bob, eve] = [newPerson('alias'), newPerson('bob'), newPerson('eve')];
    const open = await newRoom(alice);
    await rename(open, alice, 'Public Name');
    const closed = await newRoom(alice, 'private_chat');
    await rooms.membership.invite(alice, closed, bob);
    await rooms.membership.join(bob, closed);
    await renameIn(closed, alice, 'Secret Nickname');
    for (const person of [bob, eve]) {
      expect(await found(person, 'nickname')).toEqual([]);
      const [user] = (await search(person, 'public name')).results;
      expect(user).toEqual({ user_id: alice, display_name: 'Public Name' });
    }
  });

  it('knows people of other servers by the names that the searcher could read', async () => {
    const [alice, eve] = [newPerson('host'), newPerson('eve')];
    const far = '@distant:there.test' as UserId;
    const open = await newRoom(alice);
    const closed = await newRoom(alice, 'private_chat');
    for (const [roomId, name] of [
      [open, 'Distant Open'],
      [closed, 'Distant Secret'],
    ] as const) {
      const room = await core().registry.find(roomId);
      const values = [far, room?.nid];
      // What a join of another server leaves behind.
      await core().database.query({
        text: `INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos,
          membership_pos) VALUES ($1, $2, 'join', 0, 1, 1)`,
        values,
      });
      await core().database.query({
        text: `INSERT INTO user_directory (user_id, room_nid, display_name, words)
          VALUES ($1, $2, $3, array_to_tsvector($4))`,
        values: [...values, name, name.toLowerCase().split(' ')],
      });
    }
    expect(await found(eve, 'secret')).toEqual([]);
    expect((await search(eve, 'distant')).results).toMatchObject([
      { user_id: far, display_name: 'Distant Open' },
    ]);
    expect(await found(alice, 'secret')).toEqual([far]);
    expect(await found(alice, 'distant')).toEqual([far]);
  });

  it('shows people of private rooms only to those who share one', async () => {
    const [alice, bob, eve] = [newPerson('hidden'), newPerson('bob'), newPerson('eve')];
    const roomId = await newRoom(alice, 'private_chat');
    expect(await found(eve, alice)).toEqual([]);
    expect(await found(alice, alice)).toEqual([]);
    await rooms.membership.invite(alice, roomId, bob);
    expect(await found(bob, alice)).toEqual([]);
    await rooms.membership.join(bob, roomId);
    expect(await found(bob, alice)).toEqual([alice]);
    expect(await found(eve, alice)).toEqual([]);
    await rooms.membership.leave(bob, roomId);
    expect(await found(bob, alice)).toEqual([]);
  });

  it('follows rooms as they open and close', async () => {
    const [alice, eve] = [newPerson('opener'), newPerson('eve')];
    const roomId = await newRoom(alice, 'private_chat');
    await setState(roomId, alice, 'm.room.join_rules', { join_rule: 'public' });
    expect(await found(eve, alice)).toEqual([alice]);
    await setState(roomId, alice, 'm.room.history_visibility', {
      history_visibility: 'world_readable',
    });
    await setState(roomId, alice, 'm.room.join_rules', { join_rule: 'invite' });
    expect(await found(eve, alice)).toEqual([alice]);
    await setState(roomId, alice, 'm.room.history_visibility', { history_visibility: 'joined' });
    expect(await found(eve, alice)).toEqual([]);
  });

  it('forgets rooms that nobody of this server is in', async () => {
    const [alice, eve] = [newPerson('leaver'), newPerson('eve')];
    const roomId = await newRoom(alice);
    const far = '@faraway:there.test' as UserId;
    const room = await core().registry.find(roomId);
    // What a join of another server leaves behind.
    await core().database.query({
      text: `INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos,
        membership_pos) VALUES ($1, $2, 'join', 0, 1, 1)`,
      values: [far, room?.nid],
    });
    await core().database.query({
      text: `INSERT INTO user_directory (user_id, room_nid, words)
        VALUES ($1, $2, array_to_tsvector($3))`,
      values: [far, room?.nid, ['faraway']],
    });
    expect(await found(eve, 'faraway')).toEqual([far]);
    await rooms.membership.leave(alice, roomId);
    expect(await found(eve, 'faraway')).toEqual([]);
  });

  it('puts the exact name first, and says when there are more', async () => {
    const finder = newPerson('finder');
    const names = ['Quentin', 'Quentina', 'Quentinus'];
    const users: UserId[] = [];
    for (const name of names.toReversed()) {
      const user = newPerson('q');
      users.unshift(user);
      await rename(await newRoom(user), user, name);
    }
    const first = await search(finder, 'quentin', 1);
    expect(first).toMatchObject({ limited: true, results: [{ user_id: users[0] }] });
    const all = await search(finder, 'quentin', 3);
    expect([all.limited, all.results.length]).toEqual([false, 3]);
  });

  it('finds nobody by punctuation, and needs a term', async () => {
    const finder = newPerson('finder');
    expect(await search(finder, "':* | ! & <->")).toEqual({ limited: false, results: [] });
    const answer = await server.request('POST', '/_matrix/client/v3/user_directory/search', {
      token: finder,
      body: {},
    });
    expect(answer.body.errcode).toBe('M_MISSING_PARAM');
  });
});

describe('GET /rooms/{roomId}/timestamp_to_event', () => {
  const nearest = async (token: UserId, roomId: RoomId, ts: number, dir: 'f' | 'b') =>
    (await get(token, `/rooms/${roomId}/timestamp_to_event?ts=${ts}&dir=${dir}`)).body;

  it('gives the nearest event on either side', async () => {
    const alice = newPerson('alice');
    const roomId = await newRoom(alice);
    const sent: [EventId, number][] = [];
    for (const body of ['one', 'two', 'three']) {
      test.clock.advance(60_000);
      sent.push([await rooms.say(roomId, alice, body), test.clock.nowMs()]);
    }
    const [one, two, three] = sent as [[EventId, number], [EventId, number], [EventId, number]];
    expect(await nearest(alice, roomId, two[1], 'f')).toEqual({
      event_id: two[0],
      origin_server_ts: two[1],
    });
    expect((await nearest(alice, roomId, two[1] + 1, 'f')).event_id).toBe(three[0]);
    expect((await nearest(alice, roomId, two[1] - 1, 'b')).event_id).toBe(one[0]);
    expect((await nearest(alice, roomId, three[1] + 1, 'f')).errcode).toBe('M_NOT_FOUND');
    expect((await nearest(alice, roomId, 0, 'b')).errcode).toBe('M_NOT_FOUND');
  });

  it('passes over what the user may not see', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    const roomId = await newRoom(alice);
    await setState(roomId, alice, 'm.room.history_visibility', { history_visibility: 'joined' });
    test.clock.advance(1000);
    const ts = test.clock.nowMs();
    await rooms.say(roomId, alice, 'secret');
    await rooms.membership.join(bob, roomId);
    const { event_id: found } = await nearest(bob, roomId, ts, 'f');
    expect((await core().events.byId(found))?.event.stateKey).toBe(bob);
    const stranger = newPerson('stranger');
    expect((await nearest(stranger, roomId, ts, 'f')).errcode).toBe('M_FORBIDDEN');
  });

  it('takes f and b only', async () => {
    const answer = await get(newPerson('a'), '/rooms/!x:y.test/timestamp_to_event?ts=1&dir=x');
    expect(answer.body.errcode).toBe('M_INVALID_PARAM');
  });
});

describe('GET /mutual_rooms', () => {
  const mutual = async (token: UserId, query: string) =>
    (await get(token, `/mutual_rooms${query}`)).body;

  it('lists the rooms both have joined', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    const shared = await newRoom(alice);
    const left = await newRoom(alice);
    await newRoom(alice);
    await rooms.membership.join(bob, shared);
    await rooms.membership.join(bob, left);
    await rooms.membership.leave(bob, left);
    expect(await mutual(alice, `?user_id=${bob}`)).toEqual({ joined: [shared], count: 1 });
    expect(await mutual(alice, '?user_id=@nobody:else.test')).toEqual({ joined: [], count: 0 });
  });

  it.each([
    ['', 'M_MISSING_PARAM'],
    ['?user_id=nobody', 'M_INVALID_PARAM'],
    ['?user_id=@x:y.test&from=z', 'M_INVALID_PARAM'],
  ])('refuses %j', async (query, errcode) => {
    expect((await mutual(newPerson('alice'), query)).errcode).toBe(errcode);
  });

  it('refuses oneself, and ids that are not compliant', async () => {
    const alice = newPerson('alice');
    expect((await mutual(alice, `?user_id=${alice}`)).errcode).toBe('M_INVALID_PARAM');
    const odd = encodeURIComponent('@sp ace:y.test');
    expect((await mutual(alice, `?user_id=${odd}`)).errcode).toBe('M_INVALID_PARAM');
  });
});
