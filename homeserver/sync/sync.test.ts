import type { JsonObject } from '../../spec/event.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { createRoomServices, type RoomServices } from '../rooms/room-services.ts';
import { seededRandom } from '../testing/seeded-random.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { createSync } from './create-sync.ts';
import type { Sync, SyncRequest } from './sync.ts';
import { parseSyncToken } from './tokens.ts';

let test: TestCore;
let core: Core;
let rooms: RoomServices;
let sync: Sync;
let people = 0;

const use = (next: Core): void => {
  core = next;
  rooms = createRoomServices(core, { defaultRoomVersion: '12' });
  sync = createSync(core);
};

beforeAll(async () => {
  test = await testCore();
  use(test.core);
});
afterAll(() => test.close());

const newPerson = (name: string): UserId => localUser(`${name}${people++}`);

interface Asked extends Partial<Omit<SyncRequest, 'filter' | 'since'>> {
  filter?: JsonObject;
  since?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look at the response as a client would.
const read = async (userId: UserId, { filter, since, ...rest }: Asked = {}): Promise<any> =>
  JSON.parse(
    await sync.sync({
      userId,
      deviceId: undefined,
      filter: compileFilter(filter ?? {}),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs: 0,
      ...rest,
    }),
  );

const say = (roomId: RoomId, sender: UserId, body: string): Promise<EventId> =>
  core.localEvents.send(roomId, {
    type: 'm.room.message',
    sender,
    content: { msgtype: 'm.text', body },
  });

const setState = (roomId: RoomId, sender: UserId, type: string, content: JsonObject) =>
  core.localEvents.send(roomId, { type, sender, content, stateKey: '' });

const newRoom = async (creator: UserId, ...invite: UserId[]): Promise<RoomId> =>
  rooms.roomCreator.create(creator, { preset: 'public_chat', invite });

const join = (roomId: RoomId, userId: UserId) =>
  core.localEvents.send(roomId, {
    type: 'm.room.member',
    sender: userId,
    stateKey: userId,
    content: { membership: 'join' },
  });

const leave = (roomId: RoomId, userId: UserId) =>
  core.localEvents.send(roomId, {
    type: 'm.room.member',
    sender: userId,
    stateKey: userId,
    content: { membership: 'leave' },
  });

const bodies = (events: { content: { body?: string } }[]): (string | undefined)[] =>
  events.map(({ content }) => content.body);

describe('a first sync', () => {
  it('gives the timeline, and the state before it, without overlap', async () => {
    const alice = newPerson('alice');
    const roomId = await newRoom(alice);
    for (let count = 0; count < 12; count += 1) await say(roomId, alice, `m${count}`);
    const { rooms: shown } = await read(alice);
    const room = shown.join[roomId];
    expect(bodies(room.timeline.events)).toEqual(
      Array.from({ length: 10 }, (_, index) => `m${index + 2}`),
    );
    expect(room.timeline.limited).toBe(true);
    const types = room.state.events.map(({ type }: { type: string }) => type);
    expect(types).toContain('m.room.create');
    expect(new Set(types).size).toBe(types.length);
    expect(room.summary['m.joined_member_count']).toBe(1);
  });

  it('shows a state event in the timeline only, and in the state what it replaced', async () => {
    const alice = newPerson('alice');
    const roomId = await newRoom(alice);
    const first = await setState(roomId, alice, 'm.room.topic', { topic: 'one' });
    for (let count = 0; count < 9; count += 1) await say(roomId, alice, `m${count}`);
    const second = await setState(roomId, alice, 'm.room.topic', { topic: 'two' });
    const { rooms: shown } = await read(alice);
    const { state, timeline } = shown.join[roomId];
    const topicIn = (events: { type: string; event_id: string }[]) =>
      events.filter(({ type }) => type === 'm.room.topic').map((event) => event.event_id);
    expect(topicIn(state.events)).toEqual([first]);
    expect(topicIn(timeline.events)).toEqual([second]);
    expect(timeline.events.at(-1).unsigned).toMatchObject({
      replaces_state: first,
      prev_content: { topic: 'one' },
    });
  });

  it('gives state_after instead where that is asked for', async () => {
    const alice = newPerson('alice');
    const roomId = await newRoom(alice);
    const topic = await setState(roomId, alice, 'm.room.topic', { topic: 'now' });
    const { rooms: shown } = await read(alice, { useStateAfter: true });
    const room = shown.join[roomId];
    expect(room.state).toBeUndefined();
    const ids = room.state_after.events.map(({ event_id }: { event_id: string }) => event_id);
    expect(ids).toContain(topic);
  });

  it('is the same from the database as from memory', async () => {
    const alice = newPerson('alice');
    const bob = newPerson('bob');
    const roomId = await newRoom(alice);
    await join(roomId, bob);
    await setState(roomId, alice, 'm.room.name', { name: 'A room' });
    for (let count = 0; count < 30; count += 1) await say(roomId, bob, `m${count}`);
    const before = await read(alice);
    use(await test.restart());
    const after = await read(alice);
    expect(after.rooms).toEqual(before.rooms);
  });

  it('loads members lazily when asked', async () => {
    const alice = newPerson('alice');
    const others = [newPerson('bob'), newPerson('carol')];
    const roomId = await newRoom(alice);
    for (const other of others) await join(roomId, other);
    for (let count = 0; count < 3; count += 1) await say(roomId, others[0] as UserId, `m${count}`);
    const { rooms: shown } = await read(alice, {
      filter: { room: { state: { lazy_load_members: true }, timeline: { limit: 2 } } },
    });
    const members = shown.join[roomId].state.events
      .filter(({ type }: { type: string }) => type === 'm.room.member')
      .map((event: { state_key: string }) => event.state_key);
    expect(members.sort()).toEqual([alice, others[0]].sort());
    expect(shown.join[roomId].summary['m.heroes']).toEqual(others);
  });
});

describe('an incremental sync', () => {
  it('gives only what is new, once', async () => {
    const alice = newPerson('alice');
    const roomId = await newRoom(alice);
    const { next_batch: start } = await read(alice);
    await say(roomId, alice, 'new');
    const next = await read(alice, { since: start });
    expect(bodies(next.rooms.join[roomId].timeline.events)).toEqual(['new']);
    expect(next.rooms.join[roomId].timeline.limited).toBe(false);
    expect(next.rooms.join[roomId].state).toEqual({ events: [] });
    const last = await read(alice, { since: next.next_batch });
    expect(last.rooms).toBeUndefined();
  });

  it('tells of a gap, with the state that changed in it, and where to page back from', async () => {
    const alice = newPerson('alice');
    const roomId = await newRoom(alice);
    const { next_batch: start } = await read(alice);
    await setState(roomId, alice, 'm.room.topic', { topic: 'in the gap' });
    for (let count = 0; count < 5; count += 1) await say(roomId, alice, `m${count}`);
    const filter = { room: { timeline: { limit: 3 } } };
    for (const source of ['memory', 'database']) {
      if (source === 'database') use(await test.restart());
      const { rooms: shown } = await read(alice, { since: start, filter });
      const room = shown.join[roomId];
      expect(bodies(room.timeline.events)).toEqual(['m2', 'm3', 'm4']);
      expect(room.timeline.limited).toBe(true);
      expect(room.timeline.prev_batch).toMatch(/^t1_/);
      expect(room.state.events.map(({ type }: { type: string }) => type)).toEqual(['m.room.topic']);
    }
  });

  it('gives a room joined since in full', async () => {
    const alice = newPerson('alice');
    const bob = newPerson('bob');
    const roomId = await newRoom(alice);
    await say(roomId, alice, 'before');
    const { next_batch: start } = await read(bob);
    await join(roomId, bob);
    await say(roomId, alice, 'after');
    const { rooms: shown } = await read(bob, { since: start });
    const room = shown.join[roomId];
    expect(bodies(room.timeline.events)).toEqual(expect.arrayContaining(['before', 'after']));
    const create = [...room.state.events, ...room.timeline.events].filter(
      ({ type }: { type: string }) => type === 'm.room.create',
    );
    expect(create).toHaveLength(1);
  });

  it('shows an invite with its stripped state, and its end', async () => {
    const alice = newPerson('alice');
    const bob = newPerson('bob');
    const { next_batch: start } = await read(bob);
    const roomId = await newRoom(alice, bob);
    const invited = await read(bob, { since: start });
    const stripped = invited.rooms.invite[roomId].invite_state.events;
    expect(stripped.map(({ type }: { type: string }) => type)).toEqual(
      expect.arrayContaining(['m.room.create', 'm.room.join_rules', 'm.room.member']),
    );
    expect(stripped.every((event: object) => !('event_id' in event))).toBe(true);
    await leave(roomId, bob);
    const declined = await read(bob, { since: invited.next_batch });
    expect(declined.rooms.invite).toBeUndefined();
    expect(Object.keys(declined.rooms.leave)).toEqual([roomId]);
  });

  it('shows a room that was left up to the departure, and nothing after it', async () => {
    const alice = newPerson('alice');
    const bob = newPerson('bob');
    const roomId = await newRoom(alice);
    await join(roomId, bob);
    const { next_batch: start } = await read(bob);
    await say(roomId, alice, 'seen');
    await leave(roomId, bob);
    await say(roomId, alice, 'unseen');
    const { rooms: shown, next_batch: next } = await read(bob, { since: start });
    expect(shown.join).toBeUndefined();
    const { events } = shown.leave[roomId].timeline;
    expect(bodies(events)).toEqual(['seen', undefined]);
    await say(roomId, alice, 'also unseen');
    expect((await read(bob, { since: next })).rooms).toBeUndefined();
    expect((await read(bob)).rooms).toBeUndefined();
    const all = await read(bob, { filter: { room: { include_leave: true } } });
    expect(bodies(all.rooms.leave[roomId].timeline.events)).not.toContain('unseen');
  });

  it('leaves out what ignored users say', async () => {
    const alice = newPerson('alice');
    const bob = newPerson('bob');
    const roomId = await newRoom(alice);
    await join(roomId, bob);
    await core.accountData.put(alice, undefined, 'm.ignored_user_list', {
      ignored_users: { [bob]: {} },
    });
    const { next_batch: start } = await read(alice);
    await say(roomId, bob, 'ignored');
    await say(roomId, alice, 'mine');
    const { rooms: shown } = await read(alice, { since: start });
    expect(bodies(shown.join[roomId].timeline.events)).toEqual(['mine']);
  });
});

it('tells of the same rooms whether or not memory knows which have changed', async () => {
  const random = seededRandom('changed rooms');
  const pick = <T>(of: readonly T[]): T => of[random.bytes(1)[0]! % of.length] as T;
  const alice = newPerson('alice');
  const bob = newPerson('bob');
  const all: RoomId[] = [];
  for (let i = 0; i < 6; i++) all.push(await newRoom(bob));
  const lastEvents = new Map<RoomId, EventId>();
  const deeds: ((roomId: RoomId) => Promise<unknown>)[] = [
    async (roomId) => lastEvents.set(roomId, await say(roomId, bob, 'hello')),
    async (roomId) => {
      const eventId = lastEvents.get(roomId);
      if (eventId !== undefined) await core.receipts.set(bob, roomId, 'm.read', eventId);
    },
    (roomId) => join(roomId, alice),
    (roomId) => leave(roomId, alice),
    (roomId) => setState(roomId, bob, 'm.room.topic', { topic: roomId }),
    (roomId) => core.accountData.put(alice, roomId, 'org.example.note', { roomId }),
  ];
  const tokens = [(await read(alice)).next_batch as string];
  for (let step = 0; step < 60; step++) {
    // Leaving a room one is not in is refused, and changes nothing.
    await pick(deeds)(pick(all)).catch(() => undefined);
    if (step % 4 === 0) tokens.push((await read(alice, { since: tokens.at(-1)! })).next_batch);
  }
  const answers = () => Promise.all(tokens.map((since) => read(alice, { since })));
  const fromMemory = await answers();
  expect(core.activity.roomsChangedAfter(core.log.position - 1, 10)).toBeDefined();
  core.activity.reset(core.log.position);
  core.receipts.reset(core.log.position);
  const fromDatabase = await answers();
  expect(fromMemory).toEqual(fromDatabase);
  expect(fromMemory.some((answer) => answer.rooms?.leave !== undefined)).toBe(true);
  expect(fromMemory.some((answer) => answer.rooms?.join !== undefined)).toBe(true);
});

describe('a long poll', () => {
  it('returns as soon as something happens', async () => {
    const alice = newPerson('alice');
    const bob = newPerson('bob');
    const roomId = await newRoom(alice);
    await join(roomId, bob);
    const { next_batch: start } = await read(bob);
    const waiting = read(bob, { since: start, timeoutMs: 30_000 });
    await new Promise((resolve) => setImmediate(resolve));
    await say(roomId, alice, 'wake up');
    expect(bodies((await waiting).rooms.join[roomId].timeline.events)).toEqual(['wake up']);
  });

  it('returns when the client goes away or the server stops', async () => {
    const alice = newPerson('alice');
    const { next_batch: start } = await read(alice);
    const going = new AbortController();
    const waiting = read(alice, { since: start, timeoutMs: 30_000, signal: going.signal });
    going.abort();
    expect((await waiting).next_batch).toBe(start);
    expect(core.notifier.waiting).toBe(0);
  });

  it('misses nothing while readers and writers race', async () => {
    const alice = newPerson('alice');
    const bob = newPerson('bob');
    const roomId = await newRoom(alice);
    await join(roomId, bob);
    let { next_batch: since } = await read(bob);
    const count = 200;
    const sending = (async () => {
      for (let index = 0; index < count; index += 1) await say(roomId, alice, `m${index}`);
    })();
    const seen: (string | undefined)[] = [];
    while (seen.length < count) {
      const next = await read(bob, {
        since,
        timeoutMs: 5000,
        filter: { room: { timeline: { limit: 100 } } },
      });
      since = next.next_batch;
      seen.push(...bodies(next.rooms?.join?.[roomId]?.timeline.events ?? []));
    }
    await sending;
    expect(seen).toEqual(Array.from({ length: count }, (_, index) => `m${index}`));
  });
});
