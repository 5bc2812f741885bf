/**
 * A first sync says the same whether rooms are in memory or read as they are stored, and what it says
 * of earlier states without reading them is what they say.
 */
import type { JsonObject } from '../../spec/event.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { traceIn, tracesAlong } from '../rooms/state-traces.ts';
import { StoredRooms } from '../rooms/stored-rooms.ts';
import { timelineBetween } from '../storage/events.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { createSync } from './create-sync.ts';

let test: TestCore;
let rooms: TestRooms;
let warm: Core;
let cold: Core;

const [alice, bob, carol, erin] = ['alice', 'bob', 'carol', 'erin'].map(localUser) as [
  UserId,
  UserId,
  UserId,
  UserId,
];
const roomIds: RoomId[] = [];

const make = async (...invite: UserId[]): Promise<RoomId> => {
  const preset = invite.length === 0 ? 'public_chat' : 'private_chat';
  const roomId = await rooms.roomCreator.create(bob, { preset, invite, name: 'Room' });
  roomIds.push(roomId);
  return roomId;
};
const send = (roomId: RoomId, type: string, content: JsonObject): Promise<EventId> =>
  warm.localEvents.send(roomId, { type, sender: bob, content });
const set = (roomId: RoomId, type: string, content: JsonObject): Promise<EventId> =>
  warm.localEvents.send(roomId, { type, sender: bob, stateKey: '', content });
const redact = (roomId: RoomId, redacts: EventId): Promise<EventId> =>
  send(roomId, 'm.room.redaction', { redacts, reason: 'because' });
const visibility = (roomId: RoomId, setting: string): Promise<EventId> =>
  set(roomId, 'm.room.history_visibility', { history_visibility: setting });
const member = (roomId: RoomId, sender: UserId, stateKey: UserId, content: JsonObject) =>
  warm.localEvents.send(roomId, { type: 'm.room.member', sender, stateKey, content });
const join = (roomId: RoomId, user = alice) => rooms.membership.join(user, roomId);
const say = (roomId: RoomId, body = 'hello', sender = bob) => rooms.say(roomId, sender, body);
const relate = (roomId: RoomId, rel_type: string, event_id: EventId): Promise<EventId> =>
  send(roomId, 'm.room.message', {
    msgtype: 'm.text',
    body: '* new',
    'm.new_content': { msgtype: 'm.text', body: 'new' },
    'm.relates_to': { rel_type, event_id },
  });

/** An event whose state before, or whose prev events, are as if other servers had sent them. */
const sayAside = async (roomId: RoomId, isGap: boolean, stateNid?: number): Promise<void> => {
  const [, committed] = await warm.localEvents.inRoom(roomId, async (room) => {
    const built = await warm.localEvents.build(room, {
      type: 'm.room.topic',
      stateKey: '',
      sender: bob,
      content: { topic: 'aside' },
    });
    const stateBefore =
      stateNid === undefined ? room.state : await warm.snapshots.load(room.nid, stateNid);
    const missingPrevEvents = isGap ? ['$missing' as EventId] : [];
    const arrival = { ...built, stateBefore, missingPrevEvents };
    const appended = await warm.appender.append(room, [arrival]);
    return [built.event.eventId, appended.committed] as const;
  });
  await committed;
};

const makeRooms = async (): Promise<void> => {
  const shared = await make();
  await say(shared);
  await join(shared);
  await say(shared);

  for (const setting of ['joined', 'invited', 'world_readable', 'shared']) {
    const roomId = await make(alice, carol);
    await visibility(roomId, setting);
    await say(roomId, 'after the invite');
    await set(roomId, 'm.room.topic', { topic: 'one' });
    await set(roomId, 'm.room.topic', { topic: 'two' });
    await join(roomId);
    await say(roomId, 'after the join');

    const changing = await make();
    await visibility(changing, 'joined');
    await say(changing, 'hidden');
    await visibility(changing, setting);
    await say(changing, 'perhaps');
    await join(changing, carol);
    await member(changing, carol, carol, { membership: 'join', displayname: 'Carol' });
    await join(changing);
    await visibility(changing, 'joined');
    await say(changing, 'seen');
  }

  const again = await make();
  await join(again);
  await say(again, 'first stay');
  await member(again, alice, alice, { membership: 'leave' });
  await say(again, 'absent');
  await member(again, bob, alice, { membership: 'ban' });
  await member(again, bob, alice, { membership: 'leave' });
  await join(again);
  await member(again, alice, alice, { membership: 'join', displayname: 'Alice' });
  await member(again, alice, alice, { membership: 'join', displayname: 'Alice A.' });

  for (const isLong of [false, true]) {
    const related = await make();
    const before = await say(related, 'edited before');
    const gone = await say(related, 'redacted before');
    const topic = await set(related, 'm.room.topic', { topic: 'redacted' });
    await redact(related, gone);
    await relate(related, 'm.replace', before);
    await join(related);
    await redact(related, topic);
    const root = await say(related, 'thread');
    await relate(related, 'm.thread', root);
    await relate(related, 'm.reference', before);
    const second = await say(related, 'redacted after');
    await redact(related, second);
    for (let count = 0; isLong && count < 9; count += 1) await say(related, `${count}`);
    await relate(related, 'm.replace', root);
  }

  const encrypted = await make(alice);
  await set(encrypted, 'm.room.encryption', { algorithm: 'm.megolm.v1.aes-sha2' });
  await send(encrypted, 'm.room.encrypted', { ciphertext: 'one', session_id: 'a' });
  await join(encrypted);
  await send(encrypted, 'm.room.encrypted', { ciphertext: 'two', session_id: 'a' });

  const upgraded = await make();
  await join(upgraded);
  roomIds.push(await rooms.roomUpgrader.upgrade(bob, upgraded, '11'));
  await join(roomIds.at(-1) as RoomId);

  const gap = await make();
  await join(gap);
  await say(gap, 'before the gap');
  await sayAside(gap, true);
  await say(gap, 'after the gap');

  const fork = await make();
  const nid = (await warm.registry.find(fork))?.state.nid;
  await set(fork, 'm.room.topic', { topic: 'one side' });
  await sayAside(fork, false, nid);
  await say(fork, 'merged');
  await join(fork);

  const erased = await make();
  await join(erased, erin);
  await say(erased, 'to be erased', erin);
  await test.testDatabase.database.query({
    text: `INSERT INTO users (user_id, created_at_ms, erased_pos) VALUES ($1, 0, $2)`,
    values: [erin, warm.log.position],
  });
  await member(erased, erin, erin, { membership: 'leave' });
  await join(erased);

  const crowded = await make();
  for (let count = 0; count < 12; count += 1) await join(crowded, localUser(`one${count}`));
  await join(crowded);
  const silent = await make(alice, carol);
  await join(silent);
  for (let count = 0; count < 12; count += 1) await say(silent, `${count}`);

  const left = await make();
  await join(left);
  await say(left);
  await member(left, alice, alice, { membership: 'leave' });
};

beforeAll(async () => {
  test = await testCore();
  warm = test.core;
  rooms = testRooms(warm);
  await makeRooms();
  await rooms.idle();
});
afterAll(() => test.close());

type Parts = Record<'join' | 'leave', Record<RoomId, object>>;

/** The parts of rooms, by id. */
const firstSync = async (core: Core, filter: object, useStateAfter: boolean) => {
  const text = await createSync(core).sync({
    userId: alice,
    deviceId: undefined,
    filter: compileFilter(filter as never),
    since: undefined,
    fullState: false,
    useStateAfter,
    timeoutMs: 0,
  });
  const parts = (JSON.parse(text) as { rooms: Parts }).rooms;
  return new Map(
    [...Object.entries(parts.join), ...Object.entries(parts.leave ?? {})].sort(([a], [b]) =>
      a < b ? -1 : 1,
    ),
  );
};

const filters: [string, object][] = [
  ['everything', {}],
  ['lazy members', { room: { state: { lazy_load_members: true } } }],
  ['no state', { room: { state: { types: [] } } }],
  ['one event each', { room: { timeline: { limit: 1 } } }],
  ['three events each', { room: { timeline: { limit: 3 } } }],
  ['long timelines and departures', { room: { timeline: { limit: 40 }, include_leave: true } }],
];
const asked = filters.flatMap(([name, filter]) => [
  { name, filter, useStateAfter: false },
  { name: `${name}, state after`, filter, useStateAfter: true },
]);

it('says the same of rooms as they are stored as of rooms in memory', async () => {
  const inMemory: Map<string, object>[] = [];
  for (const { filter, useStateAfter } of asked) {
    for (const roomId of roomIds) await warm.registry.find(roomId);
    inMemory.push(await firstSync(warm, filter, useStateAfter));
  }
  cold = await test.restart();
  for (const [index, { name, filter, useStateAfter }] of asked.entries()) {
    const before = inMemory[index] as Map<string, object>;
    expect(before.size).toBeGreaterThan(15);
    const stored = await firstSync(cold, filter, useStateAfter);
    expect([name, ...stored.keys()]).toEqual([name, ...before.keys()]);
    for (const [roomId, part] of stored) {
      expect([name, part]).toEqual([name, before.get(roomId)]);
    }
  }
});

it('knows earlier states of a timeline by what was replaced', async () => {
  const { database, snapshots, events } = cold;
  const nids = [...(await cold.userRooms.of(alice)).keys()];
  const found = await new StoredRooms(cold).findMany(nids);
  let known = 0;
  let unknown = 0;
  for (const { nid, committed } of found.values()) {
    const [start, end] = [0, Number.MAX_SAFE_INTEGER].map((streamPos) => ({
      streamPos,
      backfillPos: 0,
    })) as [never, never];
    const timeline = events.adopt(
      await timelineBetween(database, nid, start, end, 'forwards', 1000),
    );
    const along = { state: committed.state, events: timeline };
    for (const userId of [alice, carol]) {
      const traces = tracesAlong(userId, along, (replaced) => events.cached(replaced));
      for (const { snapshotBefore, snapshotAfter } of timeline) {
        for (const state of [snapshotBefore, snapshotAfter] as number[]) {
          const trace = traces.get(state);
          if (trace === undefined) unknown += 1;
          else expect(trace).toEqual(traceIn(await snapshots.load(nid, state), userId));
          known += 1;
        }
      }
    }
  }
  expect(known).toBeGreaterThan(500);
  // Before the two sides of the fork came together.
  expect(unknown).toBeGreaterThan(0);
  expect(unknown).toBeLessThan(known / 20);
});
