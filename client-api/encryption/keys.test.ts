import { claimedKeys } from '../../homeserver/encryption/key-queries.ts';
import { RateLimits } from '../../homeserver/http/rate-limits.ts';
import { FakeClock } from '../../homeserver/testing/fake-clock.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import {
  type DeviceUser,
  type EncryptionServer,
  encryptionServer,
} from '../testing/encryption-server.ts';

let server: EncryptionServer;
let alice: DeviceUser;
let bob: DeviceUser;
beforeAll(async () => {
  server = await encryptionServer();
});
beforeEach(async () => {
  alice = await server.person('alice');
  bob = await server.person('bob');
});
afterAll(() => server.stop());

const deviceKeys = ({ userId, deviceId }: DeviceUser, key = 'key'): JsonObject => ({
  user_id: userId,
  device_id: deviceId,
  algorithms: ['m.megolm.v1.aes-sha2'],
  keys: { [`ed25519:${deviceId}`]: key },
  signatures: { [userId]: { [`ed25519:${deviceId}`]: 'signature' } },
});

const upload = (who: DeviceUser, body: JsonObject) => who.ok('POST', '/keys/upload', body);
const query = async (who: DeviceUser, ...users: DeviceUser[]) =>
  who.ok('POST', '/keys/query', {
    device_keys: Object.fromEntries(users.map(({ userId }) => [userId, []])),
  });
const claim = async (who: DeviceUser, whose: DeviceUser, algorithm = 'signed_curve25519') => {
  const { one_time_keys: keys } = await who.ok('POST', '/keys/claim', {
    one_time_keys: { [whose.userId]: { [whose.deviceId]: algorithm } },
  });
  return keys[whose.userId]?.[whose.deviceId];
};
const oneTimeKey = (key: string) => ({ key, signatures: {} });

describe('keys of devices', () => {
  it('are shown to others as they were uploaded, but the name of the device only to its owner', async () => {
    await upload(alice, { device_keys: deviceKeys(alice) });
    await alice.ok('PUT', `/devices/${alice.deviceId}`, { display_name: 'phone' });
    const { device_keys: keys, failures } = await query(bob, alice, bob);
    expect(keys[alice.userId]).toEqual({
      [alice.deviceId]: { ...deviceKeys(alice), unsigned: {} },
    });
    const own = (await query(alice, alice)).device_keys[alice.userId];
    expect(own).toEqual({
      [alice.deviceId]: { ...deviceKeys(alice), unsigned: { device_display_name: 'phone' } },
    });
    expect([keys[bob.userId], failures]).toEqual([{}, {}]);
    const one = { device_keys: { [alice.userId]: [alice.deviceId, 'OTHER'] } };
    const { device_keys: some } = await bob.ok('POST', '/keys/query', one);
    expect(Object.keys(some[alice.userId])).toEqual([alice.deviceId]);
  });

  it('go with the device', async () => {
    const tablet = await alice.anotherDevice();
    await upload(tablet, {
      device_keys: deviceKeys(tablet),
      one_time_keys: { 'signed_curve25519:1': oneTimeKey('a') },
    });
    await tablet.ok('POST', '/logout');
    expect((await query(bob, alice)).device_keys[alice.userId]).toEqual({});
    expect(await claim(bob, tablet)).toBeUndefined();
  });

  it.each<[string, (who: DeviceUser) => JsonObject, string]>([
    ['of another user', (who) => ({ ...deviceKeys(who), user_id: '@x:y' }), 'M_INVALID_PARAM'],
    ['of another device', (who) => ({ ...deviceKeys(who), device_id: 'X' }), 'M_INVALID_PARAM'],
    ['without a part', ({ userId }) => ({ user_id: userId }), 'M_BAD_JSON'],
  ])('%s are refused', async (_, keys, errcode) => {
    const answer = await alice.call('POST', '/keys/upload', { device_keys: keys(alice) });
    expect([answer.status, answer.body.errcode]).toEqual([400, errcode]);
  });

  it.each([
    ['POST', '/keys/upload'],
    ['POST', '/keys/query'],
    ['POST', '/keys/claim'],
    ['GET', '/keys/changes'],
  ])('%s %s asks for a token', async (method, path) => {
    const answer = await server.server.request(method, `/_matrix/client/v3${path}`);
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_MISSING_TOKEN']);
  });
});

describe('one-time keys', () => {
  it('are given out once each, in the order of their upload', async () => {
    await upload(alice, { one_time_keys: { 'signed_curve25519:z': oneTimeKey('first') } });
    const more = { 'signed_curve25519:a': oneTimeKey('second'), 'curve25519:c': 'text' };
    const { one_time_key_counts: counts } = await upload(alice, { one_time_keys: more });
    expect(counts).toEqual({ signed_curve25519: 2, curve25519: 1 });
    expect(await claim(bob, alice)).toEqual({ 'signed_curve25519:z': oneTimeKey('first') });
    expect(await claim(bob, alice)).toEqual({ 'signed_curve25519:a': oneTimeKey('second') });
    expect(await claim(bob, alice)).toBeUndefined();
    expect(await claim(bob, alice, 'curve25519')).toEqual({ 'curve25519:c': 'text' });
  });

  it('are not given to two who ask at the same moment', async () => {
    const keys = Object.fromEntries(
      Array.from({ length: 10 }, (_, n) => [`signed_curve25519:${n}`, oneTimeKey(String(n))]),
    );
    await upload(alice, { one_time_keys: keys });
    const got = await Promise.all(Array.from({ length: 20 }, () => claim(bob, alice)));
    const names = got.flatMap((key) => Object.keys(key ?? {}));
    expect(names.sort()).toEqual(Object.keys(keys).sort());
  });

  it('may be uploaded again, but not changed', async () => {
    const one = { one_time_keys: { 'signed_curve25519:1': oneTimeKey('a') } };
    await upload(alice, one);
    expect((await upload(alice, one)).one_time_key_counts).toEqual({ signed_curve25519: 1 });
    const other = { one_time_keys: { 'signed_curve25519:1': oneTimeKey('b') } };
    const answer = await alice.call('POST', '/keys/upload', other);
    expect([answer.status, answer.body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
    for (const name of ['no colon', ':x', 'x:']) {
      const bad = { one_time_keys: { [name]: oneTimeKey('a') } };
      expect((await alice.call('POST', '/keys/upload', bad)).body.errcode).toBe('M_INVALID_PARAM');
    }
  });

  it('are bounded for a device, and in algorithms', async () => {
    const some = (from: number, count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, n) => [
          `signed_curve25519:${from + n}`,
          oneTimeKey(String(from + n)),
        ]),
      );
    const errcode = async (body: object) =>
      (await alice.call('POST', '/keys/upload', body)).body.errcode;
    await upload(alice, { one_time_keys: some(0, 900) });
    const both = await Promise.all(
      [900, 1_000].map((from) =>
        alice.call('POST', '/keys/upload', { one_time_keys: some(from, 100) }),
      ),
    );
    expect(both.map(({ status }) => status).sort()).toEqual([200, 403]);
    expect(await errcode({ one_time_keys: some(2_000, 1) })).toBe('M_RESOURCE_LIMIT_EXCEEDED');
    const { one_time_key_counts: counts } = await upload(alice, {});
    expect(counts).toEqual({ signed_curve25519: 1_000 });
    await claim(bob, alice);
    expect(await errcode({ one_time_keys: some(2_000, 1) })).toBeUndefined();
    const fallback = Object.fromEntries(
      Array.from({ length: 21 }, (_, n) => [`algorithm${n}:1`, oneTimeKey('f')]),
    );
    expect(await errcode({ fallback_keys: fallback })).toBe('M_RESOURCE_LIMIT_EXCEEDED');
  });

  it('are counted in every sync, with the fallback keys that are unused', async () => {
    const fallback = { ...oneTimeKey('f'), fallback: true };
    await upload(alice, {
      one_time_keys: { 'signed_curve25519:1': oneTimeKey('a') },
      fallback_keys: { 'signed_curve25519:f': fallback },
    });
    const first = await alice.sync();
    expect(first.device_one_time_keys_count).toEqual({ signed_curve25519: 1 });
    expect(first.device_unused_fallback_key_types).toEqual(['signed_curve25519']);
    await claim(bob, alice);
    expect(await claim(bob, alice)).toEqual({ 'signed_curve25519:f': fallback });
    expect(await claim(bob, alice)).toEqual({ 'signed_curve25519:f': fallback });
    const second = await alice.sync(first.next_batch);
    expect(second.device_one_time_keys_count).toEqual({});
    expect(second.device_unused_fallback_key_types).toEqual([]);
    await upload(alice, { fallback_keys: { 'signed_curve25519:g': fallback } });
    const third = await alice.sync(second.next_batch);
    expect(third.device_unused_fallback_key_types).toEqual(['signed_curve25519']);
  });
});

describe('devices named like what every object has', () => {
  it.each(['__proto__', 'constructor', 'toString'])('%s is seen like any other', async (name) => {
    const body = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: alice.password,
      device_id: name,
    };
    const login = await server.server.request('POST', '/_matrix/client/v3/login', { body });
    const { access_token: token } = login.body;
    const keys = deviceKeys({ ...alice, deviceId: name as never });
    const call = (method: string, path: string, content: object) =>
      server.server.request(method, `/_matrix/client/v3${path}`, { token, body: content });
    const made = await call('POST', '/keys/upload', {
      device_keys: keys,
      one_time_keys: { 'signed_curve25519:1': oneTimeKey('a') },
    });
    expect(made.status).toBe(200);
    const all = await call('POST', '/keys/query', { device_keys: { [alice.userId]: [] } });
    expect(all.text).toContain(`"${name}":{`);
    // A body with such a key is refused, so the claim is made as another server's.
    const claimed = claimedKeys(
      await server.test.core.encryption.deviceKeys.claim({ server: 'there.test' as ServerName }, [
        { userId: alice.userId, deviceId: name, algorithm: 'signed_curve25519' },
      ]),
    );
    expect(JSON.stringify(claimed)).toContain(`"${name}":{"signed_curve25519:1"`);
  });

  it.each(['a\r\nb', 'a\u0085b', 'a\u2028b', '\t'])('may not end a line: %j', async (name) => {
    const body = {
      type: 'm.login.password',
      identifier: { type: 'm.id.user', user: alice.userId },
      password: alice.password,
      device_id: name,
    };
    const login = await server.server.request('POST', '/_matrix/client/v3/login', { body });
    expect(login).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_PARAM' } });
  });
});

describe('claims of one-time keys', () => {
  const burst = 3;
  const table = {
    general: { perSecond: 1, burst: 1_000 },
    claimed_keys: { perSecond: 0.01, burst },
    claimed_keys_by_server: { perSecond: 0.01, burst: 5 },
  };
  let limited: EncryptionServer;
  let owner: DeviceUser;
  const clock = new FakeClock();
  beforeAll(async () => {
    limited = await encryptionServer({ rateLimits: new RateLimits(table, clock) });
  });
  afterAll(() => limited.stop());
  beforeEach(async () => {
    owner = await limited.person('owner');
    const keys = Object.fromEntries(
      Array.from({ length: 50 }, (_, n) => [`signed_curve25519:k${n}`, oneTimeKey(String(n))]),
    );
    await upload(owner, { one_time_keys: keys });
  });
  const fallback = { 'signed_curve25519:f': { ...oneTimeKey('f'), fallback: true } };
  const many = async (who: DeviceUser, count: number) => {
    const keys = await Promise.all(Array.from({ length: count }, () => claim(who, owner)));
    return keys.flatMap((key) => Object.keys(key ?? {}));
  };
  const left = async () => (await upload(owner, {})).one_time_key_counts.signed_curve25519;

  it('by one person do not drain a device: the fallback key is left to them', async () => {
    await upload(owner, { fallback_keys: fallback });
    const friend = await limited.person('friend');
    await limited.room(owner, friend);
    const names = await many(friend, 20);
    expect(names.filter((name) => name !== 'signed_curve25519:f')).toHaveLength(burst);
    expect(new Set(names).size).toBe(burst + 1);
    expect(await left()).toBe(50 - burst);
    clock.advance(100_000);
    expect(Object.keys(await claim(friend, owner))).not.toEqual(['signed_curve25519:f']);
  });

  it('by many strangers take no more than those of one, and friends have their own', async () => {
    const strangers = await Promise.all(['s', 't', 'u', 'v'].map((name) => limited.person(name)));
    for (const stranger of strangers) await many(stranger, 5);
    expect(await left()).toBe(50 - burst);
    const friend = await limited.person('friend');
    await limited.room(owner, friend);
    expect(await many(friend, 1)).toHaveLength(1);
    // Whoever is invited is about to share the room, and to be written to.
    const inviting = await limited.person('inviting');
    const room = await limited.room(inviting);
    const path = `/rooms/${encodeURIComponent(room)}/invite`;
    await inviting.ok('POST', path, { user_id: owner.userId });
    expect(await many(inviting, 1)).toHaveLength(1);
  });

  it('by another server have an allowance too', async () => {
    const { deviceKeys: keys } = limited.test.core.encryption;
    const one = {
      userId: owner.userId,
      deviceId: owner.deviceId,
      algorithm: 'signed_curve25519',
    };
    const from = (server: string) => keys.claim({ server: server as ServerName }, [one]);
    const got = [];
    for (let n = 0; n < 10; n++) got.push(...(await from('there.test')));
    expect(got).toHaveLength(5);
    expect(await from('elsewhere.test')).toHaveLength(1);
  });
});

describe('device lists', () => {
  it('change for those who share a room, oneself included, and wake them', async () => {
    await server.room(alice, bob);
    const carol = await server.person('carol');
    const [before, apart, own] = [await bob.sync(), await carol.sync(), await alice.sync()];
    const waiting = bob.sync(before.next_batch, 20_000);
    await upload(alice, { device_keys: deviceKeys(alice) });
    const news = await waiting;
    expect(news.device_lists).toEqual({ changed: [alice.userId], left: [] });
    expect((await bob.sync(news.next_batch)).device_lists).toBeUndefined();
    expect((await alice.sync(own.next_batch)).device_lists.changed).toEqual([alice.userId]);
    expect((await carol.sync(apart.next_batch)).device_lists).toBeUndefined();
    await upload(alice, { device_keys: deviceKeys(alice) });
    expect((await bob.sync(news.next_batch)).device_lists).toBeUndefined();
  });

  it('change with devices that come, are renamed and go', async () => {
    await server.room(alice, bob);
    let { next_batch: since } = await bob.sync();
    const changed = async () => {
      await server.test.core.encryption.deviceLists.idle();
      const { device_lists: lists, next_batch: next } = await bob.sync(since);
      since = next;
      return lists?.changed;
    };
    const tablet = await alice.anotherDevice();
    expect(await changed()).toEqual([alice.userId]);
    await alice.ok('PUT', `/devices/${tablet.deviceId}`, { display_name: 'tablet' });
    expect(await changed()).toEqual([alice.userId]);
    await tablet.ok('POST', '/logout');
    expect(await changed()).toEqual([alice.userId]);
    expect(await changed()).toBeUndefined();
  });

  it.each(['from memory', 'from the database'])('follow rooms, %s', async (place) => {
    const forget = () => {
      const { deviceLists } = server.test.core.encryption;
      if (place !== 'from memory') deviceLists.reset(Number.MAX_SAFE_INTEGER);
      else deviceLists.reset(0);
    };
    forget();
    const room = await server.room(alice);
    const [one, other] = [await alice.sync(), await bob.sync()];
    await bob.ok('POST', `/rooms/${encodeURIComponent(room)}/join`, {});
    const [two, another] = [await alice.sync(one.next_batch), await bob.sync(other.next_batch)];
    expect(two.device_lists).toEqual({ changed: [bob.userId], left: [] });
    expect(another.device_lists.changed).toContain(alice.userId);
    const second = await server.room(alice, bob);
    const three = await alice.sync(two.next_batch);
    const last = await bob.sync(another.next_batch);
    await bob.ok('POST', `/rooms/${encodeURIComponent(second)}/leave`, {});
    const four = await alice.sync(three.next_batch);
    expect(four.device_lists?.left ?? []).toEqual([]);
    await upload(alice, { device_keys: deviceKeys(alice) });
    await bob.ok('POST', `/rooms/${encodeURIComponent(room)}/leave`, {});
    const five = await alice.sync(four.next_batch);
    expect(five.device_lists.left).toEqual([bob.userId]);
    const gone = await bob.sync(last.next_batch);
    expect(gone.device_lists.left).toEqual([alice.userId]);
    const path = `/keys/changes?from=${four.next_batch}&to=${five.next_batch}`;
    expect(await alice.ok('GET', path)).toEqual({ changed: [alice.userId], left: [bob.userId] });
  });

  it('say nothing of the members of a room one was only invited to', async () => {
    const room = await server.room(alice);
    await alice.ok('POST', `/rooms/${encodeURIComponent(room)}/invite`, { user_id: bob.userId });
    const { next_batch: since } = await bob.sync();
    await bob.ok('POST', `/rooms/${encodeURIComponent(room)}/leave`, {});
    expect((await bob.sync(since)).device_lists).toBeUndefined();
  });

  it('of a new session are told of before it has synced', async () => {
    const phone = await alice.anotherDevice();
    const first = await phone.sync();
    const again = await phone.sync(first.next_batch);
    expect(again.device_lists).toBeUndefined();
    expect(again.next_batch).toBe(first.next_batch);
  });

  it('of oneself are to be looked at when one comes to a room', async () => {
    const { next_batch: since } = await bob.sync();
    await server.room(alice, bob);
    const { changed } = (await bob.sync(since)).device_lists;
    expect(changed.toSorted()).toEqual([alice.userId, bob.userId].toSorted());
  });

  it('are no reason to ask the database where nothing has changed', async () => {
    await server.room(alice, bob);
    const { encryption, log, userRooms } = server.test.core;
    encryption.deviceLists.reset(log.position);
    await alice.sync();
    await userRooms.of(alice.userId);
    await server.room(await server.person('carol'));
    await encryption.deviceKeys.supply(alice.userId, alice.deviceId);
    const news = encryption.deviceLists.newsFor(alice.userId, log.position - 1, log.position);
    expect(news).toEqual({ changed: [], left: [] });
    const supply = encryption.deviceKeys.supply(alice.userId, alice.deviceId);
    expect(supply).toEqual({ counts: '{}', unusedFallbackTypes: '[]' });
    const { toDevice } = encryption;
    toDevice.reset(0);
    expect(toDevice.waiting(alice.userId, alice.deviceId, 1, log.position)).toMatchObject({
      messages: [],
    });
  });
});
