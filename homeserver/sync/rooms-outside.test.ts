import type { JsonObject } from '../../spec/event.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { RoomBuilder } from '../../spec/testing/room-builder.ts';
import { OutsideRooms } from '../rooms/outside-rooms.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { createSync } from './create-sync.ts';
import type { Sync, SyncRequest } from './sync.ts';
import { parseSyncToken } from './tokens.ts';

let test: TestCore;
let rooms: TestRooms;
let sync: Sync;
let alice: UserId;
let bob: UserId;
let people = 0;

beforeAll(async () => {
  test = await testCore();
  rooms = testRooms(test.core);
  sync = createSync(test.core);
});
afterAll(() => test.close());
beforeEach(() => {
  people += 1;
  [alice, bob] = [localUser(`alice${people}`), localUser(`bob${people}`)];
});

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

const member = (roomId: RoomId, sender: UserId, stateKey: UserId, content: JsonObject) =>
  test.core.localEvents.send(roomId, { type: 'm.room.member', sender, stateKey, content });
const state = (roomId: RoomId, sender: UserId, type: string, content: JsonObject) =>
  test.core.localEvents.send(roomId, { type, sender, stateKey: '', content });
const privateRoom = (...invite: UserId[]) =>
  rooms.roomCreator.create(alice, { preset: 'private_chat', invite });
const types = (list: { events: { type: string }[] }) => list.events.map(({ type }) => type);

describe('a room that was left', () => {
  it('is told of with what there was up to the departure, and state up to then', async () => {
    const roomId = await privateRoom(bob);
    await state(roomId, alice, 'm.room.topic', { topic: 'one' });
    await member(roomId, bob, bob, { membership: 'join' });
    const { next_batch: since } = await read(bob);
    await state(roomId, alice, 'm.room.topic', { topic: 'two' });
    const left = await member(roomId, bob, bob, { membership: 'leave' });
    await state(roomId, alice, 'm.room.topic', { topic: 'three' });
    const ban = await member(roomId, alice, bob, { membership: 'ban' });
    const part = (await read(bob, { since })).rooms.leave[roomId];
    const topics = [...part.state.events, ...part.timeline.events].filter(
      ({ type }) => type === 'm.room.topic',
    );
    expect(topics.map(({ content }) => content.topic)).toEqual(['two']);
    const ids = part.timeline.events.map((event: { event_id: string }) => event.event_id);
    expect(ids.slice(-2)).toEqual([left, ban]);
    const whole = await read(bob, { filter: { room: { include_leave: true } } });
    expect(JSON.stringify(whole)).not.toContain('three');
    expect(types(whole.rooms.leave[roomId].state)).toContain('m.room.create');
  });

  it('shows a ban that comes later alone', async () => {
    const roomId = await privateRoom(bob);
    await member(roomId, bob, bob, { membership: 'join' });
    await member(roomId, bob, bob, { membership: 'leave' });
    const { next_batch: since } = await read(bob);
    await rooms.say(roomId, alice, 'unheard');
    const ban = await member(roomId, alice, bob, { membership: 'ban', reason: 'so' });
    const part = (await read(bob, { since })).rooms.leave[roomId];
    expect(part.timeline.events).toMatchObject([{ event_id: ban, content: { reason: 'so' } }]);
    expect(part.state.events).toEqual([]);
  });

  it.each([
    ['an invite declined', async () => privateRoom(bob)],
    [
      'a knock taken back',
      async () => {
        const roomId = await privateRoom();
        await state(roomId, alice, 'm.room.join_rules', { join_rule: 'knock' });
        await member(roomId, bob, bob, { membership: 'knock' });
        return roomId;
      },
    ],
  ])('has the own leave and nothing else after %s', async (_, make) => {
    const roomId = await make();
    const { next_batch: since } = await read(bob);
    const left = await member(roomId, bob, bob, { membership: 'leave' });
    const part = (await read(bob, { since })).rooms.leave[roomId];
    expect(part.timeline.events).toMatchObject([
      { event_id: left, state_key: bob, content: { membership: 'leave' } },
    ]);
    expect(part.timeline.events[0].unsigned.prev_content).toBeUndefined();
    expect(part.state.events).toEqual([]);
    expect((await read(bob, { since, useStateAfter: true })).rooms.leave[roomId]).toMatchObject({
      state_after: { events: [] },
    });
  });

  it('has the own leave where this server is not in the room', async () => {
    const builder = new RoomBuilder({ name: 'elsewhere' });
    const outside = new OutsideRooms({ ...test.core, db: test.core.database });
    const memberEvent = (sender: string, membership: string) =>
      builder.send({ type: 'm.room.member', sender, stateKey: bob, content: { membership } });
    const invite = memberEvent(builder.creator, 'invite');
    const { roomId } = invite;
    await outside.record(roomId, builder.rules, invite, '[]');
    const { next_batch: since } = await read(bob);
    const leave = memberEvent(bob, 'leave');
    await outside.record(roomId, builder.rules, leave, undefined);
    const left: EventId = leave.eventId;
    const part = (await read(bob, { since })).rooms.leave[roomId];
    expect(part.timeline.events).toMatchObject([{ event_id: left, sender: bob }]);
  });
});

describe('an invite', () => {
  it('is dated, and nothing else that comes with it', async () => {
    const roomId = await privateRoom(bob);
    const { events } = (await read(bob)).rooms.invite[roomId].invite_state;
    const dated = events.filter((event: JsonObject) => 'origin_server_ts' in event);
    expect(dated).toMatchObject([
      { type: 'm.room.member', state_key: bob, origin_server_ts: test.clock.nowMs() },
    ]);
  });

  it('by somebody ignored is not told of, and is again when they are ignored no more', async () => {
    const ignore = (users: JsonObject) =>
      test.core.accountData.put(bob, undefined, 'm.ignored_user_list', { ignored_users: users });
    const { next_batch: since } = await read(bob);
    await ignore({ [alice]: {} });
    const roomId = await privateRoom(bob);
    expect((await read(bob)).rooms?.invite?.[roomId]).toBeUndefined();
    expect((await read(bob, { since })).rooms?.invite?.[roomId]).toBeUndefined();
    await ignore({});
    expect((await read(bob)).rooms.invite[roomId]).toBeDefined();
  });
});

describe('full_state', () => {
  it('gives state in full and the timeline after since', async () => {
    const roomId = await privateRoom(bob);
    await rooms.say(roomId, alice, 'old');
    const quiet = await privateRoom();
    const { next_batch: since } = await read(alice);
    await rooms.say(roomId, alice, 'new');
    const { join } = (await read(alice, { since, fullState: true })).rooms;
    const said = join[roomId].timeline.events.map((event: JsonObject) => event['content']);
    expect(said).toEqual([{ msgtype: 'm.text', body: 'new' }]);
    expect(join[roomId].timeline.limited).toBe(false);
    expect(types(join[roomId].state)).toContain('m.room.create');
    expect(join[quiet].timeline.events).toEqual([]);
    expect(types(join[quiet].state)).toContain('m.room.create');
  });

  it('tells of departures since', async () => {
    const roomId = await privateRoom(bob);
    await member(roomId, bob, bob, { membership: 'join' });
    const { next_batch: since } = await read(bob);
    await member(roomId, bob, bob, { membership: 'leave' });
    const { leave } = (await read(bob, { since, fullState: true })).rooms;
    expect(leave[roomId].timeline.events.at(-1).content.membership).toBe('leave');
  });
});

describe('lazily loaded members', () => {
  it('are who the senders were before the timeline', async () => {
    const roomId = await privateRoom(bob);
    await member(roomId, bob, bob, { membership: 'join', displayname: 'Bob' });
    for (let count = 0; count < 12; count += 1) await rooms.say(roomId, alice, `m${count}`);
    const { next_batch: since } = await read(alice);
    await rooms.say(roomId, bob, 'bye');
    await member(roomId, bob, bob, { membership: 'leave' });
    const filter = { room: { state: { lazy_load_members: true } } };
    for (const asked of [{ filter }, { filter, since }]) {
      const { state: before } = (await read(alice, asked)).rooms.join[roomId];
      const own = before.events.find((event: { state_key?: string }) => event.state_key === bob);
      expect(own?.content).toEqual({ membership: 'join', displayname: 'Bob' });
    }
  });
});

describe('receipts', () => {
  it('of one person for one event are told of as the unthreaded one', async () => {
    const roomId = await privateRoom(bob);
    await member(roomId, bob, bob, { membership: 'join' });
    const eventId = await rooms.say(roomId, alice, 'read');
    const { next_batch: since } = await read(alice);
    await test.core.receipts.set(bob, roomId, 'm.read', eventId);
    await test.core.receipts.set(bob, roomId, 'm.read', eventId, 'main');
    const { ephemeral } = (await read(alice, { since })).rooms.join[roomId];
    expect(ephemeral.events[0].content[eventId]['m.read'][bob]).toEqual({
      ts: test.clock.nowMs(),
    });
  });
});
