import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { Guest } from '../testing/guest.ts';
import type { RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

describe('what other servers ask', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    peer = await network.peer();
    alice = await here.user('alice');
    await here.profiles.set(alice, 'displayname', 'Alice');
  });
  afterAll(() => network.close());

  const ask = (path: string, query: Record<string, string> = {}) =>
    peer.ask(here.name, 'GET', `/_matrix/federation/v1${path}?${new URLSearchParams(query)}`);

  describe('about people', () => {
    it('is answered with their profile', async () => {
      const whole = await ask('/query/profile', { user_id: alice });
      expect([whole.status, whole.body]).toEqual([200, { displayname: 'Alice' }]);
      const name = await ask('/query/profile', { user_id: alice, field: 'displayname' });
      expect(name.body).toEqual({ displayname: 'Alice' });
      const unset = await ask('/query/profile', { user_id: alice, field: 'avatar_url' });
      expect([unset.status, unset.body]).toEqual([200, {}]);
    });

    it('is not answered for those who are not here', async () => {
      for (const user of [`@nobody:${here.name}`, peer.user('someone')]) {
        const { status, body } = await ask('/query/profile', { user_id: user });
        expect([status, body.errcode]).toEqual([404, 'M_NOT_FOUND']);
      }
      expect((await ask('/query/profile', { user_id: 'alice' })).status).toBe(400);
      expect((await ask('/query/profile')).status).toBe(400);
    });

    it('is who a token is of', async () => {
      const token = await here.openIdTokens.issue(alice);
      const known = await ask('/openid/userinfo', { access_token: token });
      expect(known.body).toEqual({ sub: alice });
      const unknown = await ask('/openid/userinfo', { access_token: 'x' });
      expect([unknown.status, unknown.body.errcode]).toEqual([401, 'M_UNKNOWN_TOKEN']);
      const none = await ask('/openid/userinfo');
      expect([none.status, none.body.errcode]).toEqual([401, 'M_MISSING_TOKEN']);
    });
  });

  describe('about rooms', () => {
    let roomId: RoomId;

    beforeAll(async () => {
      roomId = await here.rooms.roomCreator.create(alice, {
        preset: 'public_chat',
        visibility: 'public',
        name: 'The lobby',
        aliasName: 'lobby',
        version: '11',
      });
    });

    it('is where an alias leads', async () => {
      const { body } = await ask('/query/directory', { room_alias: `#lobby:${here.name}` });
      expect(body).toEqual({ room_id: roomId, servers: [here.name] });
      for (const alias of [`#none:${here.name}`, `#lobby:${peer.name}`]) {
        expect((await ask('/query/directory', { room_alias: alias })).status).toBe(404);
      }
    });

    it('is which are published', async () => {
      const listed = await ask('/publicRooms', { limit: '10' });
      expect(listed.body.chunk).toMatchObject([{ room_id: roomId, name: 'The lobby' }]);
      const search = (term: string) =>
        peer.ask(here.name, 'POST', '/_matrix/federation/v1/publicRooms', {
          filter: { generic_search_term: term },
        });
      expect((await search('lobby')).body.chunk).toHaveLength(1);
      expect((await search('nothing')).body.chunk).toHaveLength(0);
    });

    it('is what was said at a time', async () => {
      const guest = await Guest.join(peer, here.name, roomId, peer.user('historian'));
      network.clock.advance(60_000);
      const early = await here.say(alice, roomId, 'early');
      const earlyMs = network.clock.nowMs();
      network.clock.advance(60_000);
      const late = await here.say(alice, roomId, 'late');
      const near = (ts: number, dir: string) =>
        ask(`/timestamp_to_event/${encodeURIComponent(roomId)}`, { ts: String(ts), dir });
      expect((await near(earlyMs + 1, 'f')).body.event_id).toBe(late);
      expect((await near(earlyMs + 1, 'b')).body).toEqual({
        event_id: early,
        origin_server_ts: earlyMs,
      });
      expect((await near(earlyMs + 600_000, 'f')).status).toBe(404);
      expect((await near(earlyMs, 'x')).status).toBe(400);
      expect(guest.roomId).toBe(roomId);
    });
  });

  it('is asked in turn', async () => {
    const there = await network.server();
    const asker = `@asker:${there.name}` as UserId;
    const profile = await there.federation.remoteProfiles.profile(alice, asker);
    expect(profile).toEqual({ displayname: 'Alice' });
    const nobody = `@nobody:${here.name}` as UserId;
    expect(await there.federation.remoteProfiles.profile(nobody, asker)).toBeUndefined();
    const { chunk } = await there.rooms.publicRooms.list({}, here.name, asker);
    expect((chunk as JsonObject[]).map(({ name }) => name)).toEqual(['The lobby']);
  });

  it('is asked once for the same profile in a while, and again when it failed', async () => {
    const there = await network.server();
    const asker = `@asker:${there.name}` as UserId;
    const someone = peer.user('someone');
    let answer: JsonObject = { status: 500, body: '{}' };
    peer.on(/^GET \/_matrix\/federation\/v1\/query\/profile/, () => answer);
    const profile = () => there.federation.remoteProfiles.profile(someone, asker);
    const asked = () => peer.received.filter(({ url }) => url.includes('query/profile')).length;
    await expect(profile()).rejects.toMatchObject({ status: 502 });
    answer = { displayname: 'Someone', avatar_url: null, odd: { a: 1 } };
    const expected = { displayname: 'Someone', odd: { a: 1 } };
    expect(await Promise.all([profile(), profile()])).toEqual([expected, expected]);
    expect(asked()).toBe(2);
    answer = { displayname: 'Renamed' };
    expect(await profile()).toEqual(expected);
    network.clock.advance(6 * 60_000);
    expect(await profile()).toEqual({ displayname: 'Renamed' });
    peer.on(/query\/profile/, () => ({ status: 403, body: '{"errcode":"M_FORBIDDEN"}' }));
    network.clock.advance(6 * 60_000);
    await expect(profile()).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
  });

  it('is passed on to clients only in good form', async () => {
    const there = await network.server();
    const asker = `@asker:${there.name}` as UserId;
    const good = {
      room_id: '!good:elsewhere.test',
      num_joined_members: 3,
      world_readable: false,
      guest_can_join: false,
    };
    peer.on(/publicRooms/, () => ({
      chunk: [good, null, { ...good, room_id: 'x' }, { ...good, name: 7 }, {}] as never,
      next_batch: 5,
      total_room_count_estimate: 'many',
    }));
    const listed = await there.rooms.publicRooms.list({}, peer.name, asker);
    expect(listed).toEqual({ chunk: [good] });
    peer.on(/query\/directory/, () => ({ room_id: 'nonsense', servers: [] }));
    const alias = there.rooms.roomAliases.resolve(`#any:${peer.name}` as never, asker);
    await expect(alias).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' });
  });
});
