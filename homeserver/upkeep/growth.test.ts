/**
 * A server that strangers and its own people use month after month in the same way: what it keeps,
 * besides the history of the rooms that people stay in, does not grow with the months.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DeviceId, ServerName, UserId } from '../../spec/identifiers.ts';
import { RoomBuilder } from '../../spec/testing/room-builder.ts';
import { createAccounts } from '../accounts/accounts.ts';
import { OpenIdTokens } from '../accounts/openid-tokens.ts';
import { silentLogger } from '../ops/logger.ts';
import { AbandonedRooms } from '../rooms/abandoned-rooms.ts';
import { OutsideRooms } from '../rooms/outside-rooms.ts';
import { replaceRemoteList } from '../storage/remote-devices.ts';
import { storeKeyDocument } from '../storage/remote-keys.ts';
import { localUser, type TestCore, testCore, testServerName } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';
import { createUpkeep } from './create-upkeep.ts';
import { DAY_MS } from './upkeep-task.ts';

/** They grow with what is said in the room that people stay in, and who says it. */
const history = new Set([
  'events',
  'event_relations',
  'event_words',
  'state_snapshots',
  'auth_chain_places',
  'auth_chain_links',
]);
/** One row a day. */
const slow = new Set(['log_times']);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const [alice, bob] = [localUser('alice'), localUser('bob')];
const perMonth = 60;
const months = 6;

describe('month after month', () => {
  let test: TestCore;
  const rowCounts: Map<string, number>[] = [];
  /** Of the heap, what caches do not say they hold. */
  const otherBytes: number[] = [];
  const overBudget: unknown[] = [];
  let mostDeleted = 0;

  const counts = async (): Promise<Map<string, number>> => {
    const { database } = test.core;
    const { rows } = await database.query<{ name: string }>({
      text: `SELECT table_name AS name FROM information_schema.tables
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
    });
    const found = new Map<string, number>();
    for (const { name } of rows) {
      const { rows: counted } = await database.query<{ n: number }>({
        text: `SELECT count(*) AS n FROM ${name}`,
      });
      found.set(name, counted[0]?.n ?? 0);
    }
    // What is current is part of the state of rooms; the rest may not grow.
    const { rows: replaced } = await database.query<{ n: number }>({
      text: 'SELECT count(*) AS n FROM state_changes WHERE NOT is_current',
    });
    found.set('state_changes', replaced[0]?.n ?? 0);
    return found;
  };

  beforeAll(async () => {
    test = await testCore({ maxCacheBytes: 16_000_000 });
    const { core, clock } = test;
    const { database, random } = core;
    const rooms = testRooms(core);
    const accounts = createAccounts({
      database,
      clock,
      random,
      logger: silentLogger,
      serverName: testServerName,
      registration: {
        enabled: true,
        requireToken: false,
        allowGuests: false,
        sharedSecret: undefined,
      },
      passwords: { minLength: 1, hashMemoryKib: 64, hashPasses: 1 },
      deviceListeners: [core.encryption.deviceListener],
    });
    for (const username of ['alice', 'bob']) {
      await accounts.registration.registerByOperator({ username, password: 'x' }, undefined);
    }
    const dead = await database.transaction((tx) =>
      accounts.sessions.open(tx, { userId: bob, deviceId: 'DEAD' }),
    );
    const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
    const openIds = new OpenIdTokens({ database, clock, random });
    const upkeep = createUpkeep(
      { ...core, logger: silentLogger },
      {
        endOfRooms: {
          abandonedRooms: new AbandonedRooms(core),
          serverName: core.serverName,
          keptMs: 60 * DAY_MS,
        },
      },
    );
    const outside = new OutsideRooms({ ...core, db: database });

    /** What strangers make us keep. */
    const strangers = async (month: number, n: number): Promise<void> => {
      const serverName = `n${n}-${month}.wild.test`;
      const userId = `@someone:${serverName}` as UserId;
      await database.transaction(async (tx) => {
        await storeKeyDocument(tx, {
          serverName,
          document: {},
          validUntilTs: 1,
          keys: [{ keyId: 'ed25519:1', publicKey: 'k', validUntilMs: 1 }],
          fetchedAtMs: clock.nowMs(),
          direct: true,
        });
        await replaceRemoteList(tx, userId, {
          streamId: 1,
          syncedPos: core.log.position,
          devices: [{ deviceId: 'D', displayName: undefined, keys: '{}' }],
        });
      });
      const { toDevice } = core.encryption;
      const toDead = { [bob]: { [dead.deviceId]: { n } } };
      await toDevice.receive(serverName as ServerName, `${month} ${n}`, userId, 'm.x', toDead);
      if (n % 4 !== 0) return;
      const room = new RoomBuilder({ creator: userId, name: `spam ${month} ${n}` });
      const member = (membership: string) =>
        room.send({
          type: 'm.room.member',
          sender: userId,
          stateKey: alice,
          content: { membership },
        });
      await outside.record(room.roomId, room.rules, member('invite'), '[]');
      await outside.record(room.roomId, room.rules, member('leave'), undefined);
    };
    /** What people here do all the time. */
    const people = async (month: number, n: number): Promise<void> => {
      const { deviceId } = await database.transaction((tx) =>
        accounts.sessions.open(tx, { userId: alice, deviceId: undefined }),
      );
      await openIds.issue(alice);
      const filter = { room: { timeline: { limit: n + 1 } } };
      await accounts.filters.define(alice, filter);
      const mine = { [bob]: { '*': { n } } };
      await core.encryption.toDevice.send(
        alice,
        deviceId as DeviceId,
        'm.x',
        `${month} ${n}`,
        mine,
      );
      const eventId = await rooms.say(roomId, alice, `${n}`);
      if (n % 6 !== 0) return;
      await rooms.membership.join(bob, roomId);
      await core.receipts.set(bob, roomId, 'm.read', eventId);
      await core.accountData.put(bob, roomId, 'm.tag', { n });
      await core.localEvents.send(roomId, {
        type: 'm.room.topic',
        sender: alice,
        stateKey: '',
        content: { topic: `${month} ${n}` },
      });
      await rooms.membership.leave(bob, roomId);
      const other = await rooms.roomCreator.create(bob, { preset: 'private_chat' });
      await core.accountData.put(bob, other, 'm.tag', { n });
      await rooms.membership.leave(bob, other);
      await rooms.membership.forget(bob, other);
    };

    for (let month = 0; month < months; month += 1) {
      for (let n = 0; n < perMonth; n += 1) {
        await strangers(month, n);
        await people(month, n);
      }
      for (let day = 0; day < 30; day += 5) {
        clock.advance(5 * DAY_MS);
        for (const { deleted } of await upkeep.runDue()) {
          mostDeleted = Math.max(mostDeleted, deleted);
        }
      }
      rowCounts.push(await counts());
      collect();
      let held = 0;
      for (const [share, bytes] of core.budget.heldBytes()) {
        held += bytes;
        if (bytes > core.budget.bytesFor(share)) overBudget.push([month, share, bytes]);
      }
      otherBytes.push(process.memoryUsage().heapUsed - held);
    }
  }, 240_000);
  afterAll(() => test.close());

  it('no table has more rows than the month before', () => {
    const [before, last] = rowCounts.slice(-2) as [Map<string, number>, Map<string, number>];
    const grown = [...last].filter(
      ([name, count]) => !history.has(name) && !slow.has(name) && count > (before.get(name) ?? 0),
    );
    expect(grown).toEqual([]);
  });

  it('the months have left something to look at', () => {
    const last = rowCounts.at(-1) as Map<string, number>;
    expect(last.get('remote_keys')).toBeLessThanOrEqual(perMonth);
    expect(last.get('state_changes')).toBeGreaterThan(10);
    expect(last.get('to_device_messages')).toBeGreaterThan(perMonth);
    expect(last.get('devices')).toBeLessThanOrEqual(201);
    // Of 150 that strangers and people have made.
    expect(last.get('rooms')).toBeGreaterThan(25);
    expect(last.get('rooms')).toBeLessThan(90);
    expect(mostDeleted).toBeGreaterThan(0);
    expect(mostDeleted).toBeLessThanOrEqual(500);
  });

  it('memory stays within its budget', () => {
    expect(overBudget).toEqual([]);
  });

  it('nothing but caches takes more and more memory', () => {
    // In five months: ten kilobytes for each of the strangers would be half as much again.
    const grown = (otherBytes.at(-1) as number) - (otherBytes[0] as number);
    expect(grown).toBeLessThan(2_000_000);
  });
});
