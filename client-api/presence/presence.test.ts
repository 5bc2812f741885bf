import { serve, type TestServer } from '../../homeserver/http/testing/serve.ts';
import type { UserPresence } from '../../homeserver/streams/presence.ts';
import { createSync } from '../../homeserver/sync/create-sync.ts';
import type { Sync } from '../../homeserver/sync/sync.ts';
import { formatSyncToken, parseSyncToken } from '../../homeserver/sync/tokens.ts';
import { localUser, type TestCore, testCore } from '../../homeserver/testing/test-core.ts';
import { type TestRooms, testRooms } from '../../homeserver/testing/test-rooms.ts';
import type { JsonObject } from '../../spec/event.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { DeviceId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { tokenIsUser } from '../testing/token-is-user.ts';
import { presenceRoutes } from './routes.ts';

const phone = 'PHONE' as DeviceId;
const desk = 'DESK' as DeviceId;

let test: TestCore;
let rooms: TestRooms;
let server: TestServer;
let sync: Sync;
let people = 0;

beforeAll(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
  sync = createSync(test.core);
  server = await serve(presenceRoutes({ ...test.core, auth: tokenIsUser }));
});
afterAll(async () => {
  await server.stop();
  await test.close();
});

const newPerson = (name: string): UserId => localUser(`${name}${people++}`);

/** Alice and Bob, who share a room. */
const friends = async (): Promise<{ alice: UserId; bob: UserId; roomId: RoomId }> => {
  const [alice, bob] = [newPerson('alice'), newPerson('bob')];
  const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  await rooms.membership.join(bob, roomId);
  return { alice, bob, roomId };
};

const status = (userId: UserId) => `/_matrix/client/v3/presence/${userId}/status`;

const get = async (viewer: UserId, userId: UserId) =>
  (await server.request('GET', status(userId), { token: viewer })).body;

const put = (userId: UserId, body: JsonObject, deviceId = phone) =>
  server.request('PUT', status(userId), { token: `${userId} ${deviceId}`, body });

const expirePresence = (afterMs: number): void => {
  test.clock.advance(afterMs);
  test.core.presence.expire();
};

/** The presence events of a sync, by sender, without marking the reader as online. */
const news = async (userId: UserId, since?: string, timeoutMs = 0, filter: JsonObject = {}) => {
  const answer = JSON.parse(
    await sync.sync({
      userId,
      deviceId: undefined,
      filter: compileFilter(filter),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs,
    }),
  );
  const events: { sender: UserId; content: JsonObject }[] = answer.presence?.events ?? [];
  return {
    next: answer.next_batch as string,
    of: Object.fromEntries(events.map(({ sender, content }) => [sender, content])),
    count: events.length,
  };
};

/** With the user's rooms in memory, as a sync has them, others see it at once. */
const see = async (userId: UserId, timeoutMs = 0, device = phone) => {
  await test.core.userRooms.of(userId);
  test.core.presence.seen(userId, device, 'online', timeoutMs);
};

describe('the status endpoints', () => {
  it('show what was set to those who share a room', async () => {
    const { alice, bob } = await friends();
    await put(alice, { presence: 'online', status_msg: 'I am here.' });
    test.clock.advance(1500);
    expect(await get(bob, alice)).toEqual({
      presence: 'online',
      status_msg: 'I am here.',
      last_active_ago: 1500,
      currently_active: true,
    });
    await put(alice, { presence: 'unavailable' });
    expect(await get(bob, alice)).toEqual({ presence: 'unavailable', last_active_ago: 0 });
  });

  it('know nothing but offline of someone never seen', async () => {
    const { alice, bob } = await friends();
    expect(await get(bob, alice)).toEqual({ presence: 'offline' });
  });

  it('refuse strangers, and setting the presence of others', async () => {
    const { alice } = await friends();
    const stranger = newPerson('stranger');
    expect((await get(stranger, alice)).errcode).toBe('M_FORBIDDEN');
    const body = { presence: 'online' };
    const other = await server.request('PUT', status(alice), { token: stranger, body });
    expect([other.status, other.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
  });

  it('take no other state than the three', async () => {
    const alice = newPerson('alice');
    expect((await put(alice, { presence: 'sleepy' })).body.errcode).toBe('M_INVALID_PARAM');
    expect((await put(alice, {})).body.errcode).toBe('M_MISSING_PARAM');
  });

  it('ask for a token', async () => {
    const answer = await server.request('GET', status(newPerson('alice')));
    expect(answer.body.errcode).toBe('M_MISSING_TOKEN');
  });
});

describe('syncing', () => {
  it('brings a user online, and silence offline', async () => {
    const { alice, bob } = await friends();
    await see(alice, 30_000);
    expect((await get(bob, alice)).presence).toBe('online');
    expirePresence(59_000);
    expect((await get(bob, alice)).presence).toBe('online');
    expirePresence(2_000);
    expect((await get(bob, alice)).presence).toBe('offline');
  });

  it('leaves one unseen who asks for it', async () => {
    const { alice, bob } = await friends();
    test.core.presence.seen(alice, phone, 'offline', 30_000);
    expect((await get(bob, alice)).presence).toBe('offline');
    await see(alice);
    test.core.presence.seen(alice, phone, 'offline', 30_000);
    expect((await get(bob, alice)).presence).toBe('offline');
  });

  it('does not make active by itself: the idle become unavailable until they act', async () => {
    const { alice, bob, roomId } = await friends();
    for (let minutes = 0; minutes < 5; minutes += 1) {
      await see(alice, 60_000);
      expect((await get(bob, alice)).presence).toBe('online');
      expirePresence(60_000);
    }
    await see(alice, 60_000);
    expect((await get(bob, alice)).presence).toBe('unavailable');
    await test.core.localEvents.send(roomId, {
      type: 'm.room.message',
      sender: alice,
      senderDevice: phone,
      content: { body: 'awake' },
    });
    expect(await get(bob, alice)).toMatchObject({ presence: 'online', last_active_ago: 0 });
  });

  it('does not undo what the user said, and shows the best of several devices', async () => {
    const { alice, bob } = await friends();
    await see(alice, 30_000);
    await put(alice, { presence: 'unavailable' });
    await see(alice, 30_000);
    expect((await get(bob, alice)).presence).toBe('unavailable');
    await see(alice, 0, desk);
    expect((await get(bob, alice)).presence).toBe('online');
    expirePresence(31_000);
    expect((await get(bob, alice)).presence).toBe('unavailable');
    test.core.presence.seen(alice, phone, 'unavailable', 30_000);
    await see(alice, 30_000);
    expect((await get(bob, alice)).presence).toBe('online');
  });
});

describe('presence in sync', () => {
  it('comes when it changes, once, to those who share a room and to oneself', async () => {
    const { alice, bob } = await friends();
    const stranger = newPerson('stranger');
    const before = await news(bob);
    const apart = await news(stranger);
    const own = await news(alice);
    await see(alice, 30_000);
    const after = await news(bob, before.next);
    expect(after.of).toEqual({
      [alice]: { presence: 'online', last_active_ago: 0, currently_active: true },
    });
    expect((await news(alice, own.next)).of[alice]).toMatchObject({ presence: 'online' });
    expect((await news(stranger, apart.next)).count).toBe(0);
    await see(alice, 30_000);
    test.core.presence.acted(alice, phone);
    expect((await news(bob, after.next)).count).toBe(0);
    expirePresence(61_000);
    expect((await news(bob, after.next)).of[alice]).toMatchObject({ presence: 'offline' });
  });

  it('wakes those who wait', async () => {
    const { alice, bob } = await friends();
    const { next } = await news(bob);
    const waiting = news(bob, next, 20_000);
    await see(alice, 30_000);
    expect((await waiting).of[alice]).toMatchObject({ presence: 'online' });
  });

  it('is in a first sync for those who are there', async () => {
    const { alice, bob, roomId } = await friends();
    const carol = newPerson('carol');
    await rooms.membership.join(carol, roomId);
    await see(alice, 30_000);
    await see(carol, 0);
    expirePresence(31_000);
    expect((await news(bob)).of).toEqual({
      [alice]: expect.objectContaining({ presence: 'online' }),
    });
  });

  it('comes with a room one joins, and with those who join', async () => {
    const [alice, bob] = [newPerson('alice'), newPerson('bob')];
    await see(alice, 30_000);
    await see(bob, 30_000);
    const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
    const before = { alice: await news(alice), bob: await news(bob) };
    await rooms.membership.join(bob, roomId);
    const after = {
      alice: await news(alice, before.alice.next),
      bob: await news(bob, before.bob.next),
    };
    expect(Object.keys(after.alice.of)).toEqual([bob]);
    expect(after.bob.of[alice]).toMatchObject({ presence: 'online' });
    expect((await news(alice, after.alice.next)).count).toBe(0);
    await rooms.membership.leave(bob, roomId);
    await put(bob, { presence: 'online', status_msg: 'gone' });
    expect((await news(alice, after.alice.next)).count).toBe(0);
  });

  it('tells of the offline only where people meet', async () => {
    const { bob, roomId } = await friends();
    const carol = newPerson('carol');
    const before = { bob: await news(bob), carol: await news(carol) };
    expect(before.bob.count).toBe(0);
    await rooms.membership.join(carol, roomId);
    const after = await news(carol, before.carol.next);
    expect(after.of[bob]).toEqual({ presence: 'offline' });
    expect((await news(bob, before.bob.next)).of).toEqual({ [carol]: { presence: 'offline' } });
    expect((await news(carol, after.next)).count).toBe(0);
    expect((await news(carol)).count).toBe(0);
  });

  it('can be filtered out', async () => {
    const { alice, bob } = await friends();
    await see(alice, 30_000);
    expect((await news(bob, undefined, 0, { presence: { types: [] } })).count).toBe(0);
    const notAlice = { presence: { not_senders: [alice] } };
    expect((await news(bob, undefined, 0, notAlice)).count).toBe(0);
  });

  it('is told of in full to readers from before a restart', async () => {
    const { alice, bob } = await friends();
    const { next } = await news(bob);
    const token = parseSyncToken(next);
    const old = formatSyncToken({ ...token, presence: token.presence - 10_000_000 });
    await put(alice, { presence: 'online' });
    expirePresence(31_000);
    expect((await news(bob, old)).of[alice]).toMatchObject({ presence: 'offline' });
  });

  it('comes in parts where it is of many, each person once, and nobody is left out', async () => {
    const { alice, bob, roomId } = await friends();
    const { next } = await news(bob);
    const crowd = Array.from({ length: 130 }, () => newPerson('many'));
    for (const person of crowd) {
      await rooms.membership.join(person, roomId);
      await see(person);
    }
    const heard: string[] = [];
    let since = next;
    for (let part = 0; part < 2; part += 1) {
      const { of, count, next: after } = await news(bob, since);
      expect(count).toBeLessThanOrEqual(100);
      heard.push(...Object.keys(of));
      since = after;
    }
    expect(new Set(heard)).toEqual(new Set(crowd));
    expect(heard).toHaveLength(crowd.length);
    expect((await news(bob, since)).count).toBe(0);
    // Those that are filtered out take no place of others.
    const notMany = { presence: { not_senders: crowd.slice(0, 129) } };
    expect(Object.keys((await news(bob, next, 0, notMany)).of)).toEqual([crowd[129]]);
    expect((await news(alice, next)).count).toBe(100);
  });

  it('costs microseconds where there is none', async () => {
    const { alice, bob } = await friends();
    await see(alice, 30_000);
    const { next } = await news(bob);
    const token = parseSyncToken(next);
    const joined = new Set([...(await test.core.userRooms.of(bob)).keys()]);
    const { presence: serial } = token;
    const range = { after: serial, upTo: serial, limit: 100, wants: () => true };
    const startMs = performance.now();
    for (let run = 0; run < 1000; run += 1) {
      test.core.presence.changedFor(bob, joined, range);
    }
    expect(performance.now() - startMs).toBeLessThan(50);
  });
});

describe('other servers', () => {
  const there = 'there.test' as ServerName;
  const remote = (name: string): UserId => `@${name}:${there}` as UserId;

  /** A row as a member event of another server leaves it behind. */
  const joinRemotely = async (userId: UserId, roomId: RoomId): Promise<void> => {
    const room = await test.core.registry.find(roomId);
    await test.core.database.query({
      text: `INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos,
        membership_pos) VALUES ($1, $2, 'join', 0, 1, 1)`,
      values: [userId, room?.nid],
    });
  };

  const online = (userId: UserId): UserPresence => ({
    userId,
    presence: 'online',
    statusMsg: 'far away',
    lastActiveMs: test.clock.nowMs() - 10,
  });

  it('are believed of users who share a room, for a while', async () => {
    const { bob, roomId } = await friends();
    const [dave, eve] = [remote(`dave${people}`), remote(`eve${people++}`)];
    await joinRemotely(dave, roomId);
    const before = await news(bob);
    await test.core.presence.receive([online(dave), online(eve)]);
    expect((await news(bob, before.next)).of).toEqual({
      [dave]: {
        presence: 'online',
        status_msg: 'far away',
        last_active_ago: 10,
        currently_active: true,
      },
    });
    expect(test.core.presence.of(eve)).toBeUndefined();
    expirePresence(36 * 60_000);
    expect((await get(bob, dave)).presence).toBe('offline');
  });

  it('are told of changes, and reminded of who stays', async () => {
    const { alice, roomId } = await friends();
    const told: [string, number[]][] = [];
    test.core.presence.onLocalChange(({ user, roomNids }) => {
      if (user.userId === alice) told.push([user.presence, [...roomNids]]);
    });
    const room = await test.core.registry.find(roomId);
    await put(alice, { presence: 'online' });
    await see(alice, 120_000);
    test.core.presence.acted(alice, phone);
    expect(told).toEqual([['online', [room?.nid]]]);
    for (let minutes = 0; minutes < 26; minutes += 1) {
      expirePresence(60_000);
      await see(alice, 120_000);
      test.core.presence.acted(alice, phone);
    }
    expect(told).toHaveLength(2);
    expirePresence(200_000);
    expect(told.at(-1)?.[0]).toBe('offline');
  });
});

describe('switched off', () => {
  it('everyone is offline', async () => {
    const off = await testCore({ presenceEnabled: false });
    const other = await serve(presenceRoutes({ ...off.core, auth: tokenIsUser }));
    const alice = localUser('alice');
    const body = { presence: 'online' };
    const set = await other.request('PUT', status(alice), { token: alice, body });
    expect(set.body).toEqual({});
    const answer = await other.request('GET', status(alice), { token: alice });
    expect(answer.body).toEqual({ presence: 'offline' });
    await other.stop();
    await off.close();
  });
});
