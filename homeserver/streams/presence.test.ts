/** Presence where the log loses its session. What clients see of it: client-api/presence. */
import type pg from 'pg';
import type { DeviceId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { cutSocket, recordSessions } from '../testing/log-trouble.ts';
import { eventually } from '../testing/server-process.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];

let test: TestCore;
let core: Core;
let rooms: TestRooms;
let sessions: ReturnType<typeof recordSessions>;
let roomId: RoomId;
let nid: number;
beforeEach(async () => {
  sessions = recordSessions();
  test = await testCore();
  core = test.core;
  rooms = testRooms(core);
  roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  nid = (await core.registry.find(roomId))?.nid as number;
});
afterEach(async () => {
  sessions.stop();
  await test.close();
});

/** The log's next transaction is committed, and its answer lost with the session. */
const commitUnheard = async (change: () => Promise<unknown>) => {
  const client = sessions.clients.at(-1) as pg.Client;
  const query = client.query.bind(client) as (statement: unknown) => Promise<unknown>;
  client.query = (async (statement: unknown) => {
    const result = await query(statement);
    if (statement !== 'COMMIT') return result;
    cutSocket(client);
    throw new Error('Connection terminated unexpectedly');
  }) as never;
  await expect(change()).rejects.toThrow();
  // The log goes on in another session.
  await rooms.say(roomId, alice, 'next');
};

const changesSince = (serial: number): readonly string[] =>
  core.presence
    .changedFor(alice, new Set([nid]), {
      after: serial,
      upTo: core.presence.serial,
      limit: 10,
      wants: () => true,
    })
    .users.map(({ userId }) => userId);

it('is shown in a room that was joined by a commit nobody heard of', async () => {
  await core.userRooms.of(bob);
  core.presence.seen(bob, 'PHONE' as DeviceId, 'online', 30_000);
  const { serial } = core.presence;
  await commitUnheard(() => rooms.membership.join(bob, roomId));
  await eventually('alice is told of bob', () => changesSince(serial).includes(bob));
});

it('is not shown any more in a room that was left by a commit nobody heard of', async () => {
  await rooms.membership.join(bob, roomId);
  await core.userRooms.of(bob);
  core.presence.seen(bob, 'PHONE' as DeviceId, 'online', 30_000);
  await commitUnheard(() => rooms.membership.leave(bob, roomId));
  await eventually('bob is known to be gone', async () => {
    const { serial } = core.presence;
    await core.presence.set(bob, undefined, 'online', `after ${serial}`);
    return !changesSince(serial).includes(bob);
  });
});

describe('after a restart', () => {
  const phone = 'PHONE' as DeviceId;
  const [carol, dora] = [localUser('carol'), localUser('dora')];
  const seen = async (userId: typeof alice): Promise<void> => {
    await core.userRooms.of(userId);
    core.presence.seen(userId, phone, 'online', 30_000);
  };

  it('people are as they were, and coming back is no news of them', async () => {
    for (const user of [bob, carol, dora]) {
      await rooms.membership.join(user, roomId);
      await seen(user);
    }
    await core.presence.set(bob, phone, 'unavailable', 'at lunch');
    await core.presence.set(dora, phone, 'offline', undefined);
    const { serial } = core.presence;
    test.clock.advance(10_000);
    core = await test.restart();
    expect(core.presence.of(bob)).toMatchObject({ presence: 'unavailable', statusMsg: 'at lunch' });
    expect(core.presence.of(carol)).toMatchObject({ presence: 'online' });
    expect(core.presence.of(dora)).toMatchObject({ presence: 'offline' });
    await seen(bob);
    await seen(carol);
    expect(changesSince(serial)).toEqual([]);
    expect(core.presence.of(bob)).toMatchObject({ presence: 'unavailable' });
    await seen(dora);
    expect(changesSince(serial)).toEqual([dora]);
    core.presence.acted(bob, phone);
    expect(changesSince(serial)).toEqual([dora, bob]);
  });

  it('those who stay away go offline within a minute, and others are told', async () => {
    await rooms.membership.join(bob, roomId);
    await seen(bob);
    const { serial } = core.presence;
    core = await test.restart();
    test.clock.advance(50_000);
    core.presence.expire();
    expect(core.presence.of(bob)).toMatchObject({ presence: 'online' });
    expect(changesSince(serial)).toEqual([]);
    test.clock.advance(10_000);
    core.presence.expire();
    expect(core.presence.of(bob)).toMatchObject({ presence: 'offline' });
    expect(changesSince(serial)).toEqual([bob]);
  });
});
