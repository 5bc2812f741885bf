import { type JsonObject, type MatrixEvent, stateKeyOf } from '../../spec/event.ts';
import type { EventId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import type { Arrival } from './append.ts';
import type { LiveRoom } from './live-room.ts';
import type { EventDraft } from './local-events.ts';

const alice = localUser('alice');
const bob = localUser('bob');

let test: TestCore;
let core: Core;
let rooms: TestRooms;
beforeEach(async () => {
  test = await testCore();
  core = test.core;
  rooms = testRooms(core);
});
afterEach(() => test.close());

const openRoom = async (version = '12'): Promise<RoomId> => {
  const roomId = await rooms.roomCreator.create(alice, {
    preset: 'public_chat',
    version,
    powerLevelOverride: { users: version === '12' ? { [bob]: 50 } : { [alice]: 100, [bob]: 50 } },
  });
  await rooms.membership.join(bob, roomId);
  return roomId;
};

const live = async (roomId: RoomId): Promise<LiveRoom> =>
  (await core.registry.find(roomId)) as LiveRoom;

/** Events on top of the room as it is now, none of which knows of the others. */
const fork = (roomId: RoomId, drafts: readonly EventDraft[]): Promise<Arrival[]> =>
  core.localEvents.inRoom(roomId, async (room) => {
    const arrivals: Arrival[] = [];
    for (const draft of drafts) {
      arrivals.push({ ...(await core.localEvents.build(room, draft)), stateBefore: room.state });
    }
    return arrivals;
  });

const append = async (roomId: RoomId, arrivals: readonly Arrival[]): Promise<void> => {
  const [committed] = await core.localEvents.inRoom(roomId, async (room) => {
    const appended = await core.appender.append(room, arrivals);
    return [appended.committed];
  });
  await committed;
};

const named = (sender: typeof alice, name: string): EventDraft => ({
  type: 'm.room.name',
  stateKey: '',
  sender,
  content: { name },
});

const currentState = async (roomId: RoomId): Promise<Record<string, EventId>> => {
  const { rows } = await core.database.query<{ key: string; event_id: EventId }>({
    text: `SELECT c.type || ' ' || c.state_key AS key, e.event_id FROM current_state c
      JOIN events e USING (room_nid, event_nid) JOIN rooms r USING (room_nid)
      WHERE r.room_id = $1`,
    values: [roomId],
  });
  return Object.fromEntries(rows.map(({ key, event_id: id }) => [key, id]));
};

const inMemory = (room: LiveRoom): Record<string, EventId> =>
  Object.fromEntries(
    [...room.state.entries()].map(([key, ref]) => [key.replace('\u0000', ' '), ref.eventId]),
  );

const stored = async (eventId: EventId) => core.events.byId(eventId);

describe.each(['1', '2', '6', '10', '11', '12'])('a fork in version %s', (version) => {
  it('is resolved, and healed by the next event', async () => {
    const roomId = await openRoom(version);
    const arrivals = await fork(roomId, [
      named(bob, 'by bob'),
      { type: 'm.room.topic', stateKey: '', sender: alice, content: { topic: 't' } },
      named(alice, 'by alice'),
    ]);
    for (const arrival of arrivals) await append(roomId, [arrival]);
    const room = await live(roomId);
    expect(room.extremities).toHaveLength(3);
    expect(inMemory(room)).toEqual(await currentState(roomId));
    expect(await rooms.stateOf(roomId, 'm.room.topic')).toEqual({ topic: 't' });
    const name = await rooms.stateOf(roomId, 'm.room.name');
    await rooms.say(roomId, alice, 'together again');
    expect((await live(roomId)).extremities).toHaveLength(1);
    core = await test.restart();
    rooms = testRooms(core);
    expect(inMemory(await live(roomId))).toEqual(await currentState(roomId));
    expect(await rooms.stateOf(roomId, 'm.room.name')).toEqual(name);
    await rooms.say(roomId, bob, 'after a restart');
  });

  it('ends the same whichever side comes first', async () => {
    const roomId = await openRoom(version);
    const ban = { membership: 'ban' };
    const arrivals = await fork(roomId, [
      named(bob, 'by bob'),
      { type: 'm.room.member', stateKey: bob, sender: alice, content: ban },
    ]);
    await append(roomId, arrivals);
    const room = await live(roomId);
    expect(room.membership(bob)).toBe('ban');
    expect(room.joinedLocalUsers).toEqual(new Set([alice]));
    expect((await core.userRooms.get(bob, room.nid))?.membership).toBe('ban');
    expect(inMemory(room)).toEqual(await currentState(roomId));
  });
});

describe('events that do not count', () => {
  it('are kept, and change nothing', async () => {
    const roomId = await openRoom();
    const [rejected, failed] = (await fork(roomId, [
      named(bob, 'rejected'),
      named(bob, 'failed'),
    ])) as [Arrival, Arrival];
    const before = inMemory(await live(roomId));
    await append(roomId, [
      { ...rejected, rejectedReason: 'because' },
      { ...failed, softFailed: true },
    ]);
    const room = await live(roomId);
    expect(inMemory(room)).toEqual(before);
    expect(await currentState(roomId)).toEqual(before);
    expect(room.extremities.map(({ event }) => event.eventId)).not.toContain(
      rejected.event.eventId,
    );
    core.events.clear();
    expect(await stored(rejected.event.eventId)).toMatchObject({ rejectedReason: 'because' });
    expect(await stored(failed.event.eventId)).toMatchObject({ softFailed: true });
    await rooms.say(roomId, alice, 'and so on');
  });
});

describe('redactions', () => {
  const redaction = (sender: typeof alice, redacts: EventId): EventDraft => ({
    type: 'm.room.redaction',
    sender,
    content: { reason: 'x' },
    redacts,
  });
  const contentOf = async (eventId: EventId): Promise<JsonObject | undefined> =>
    (await stored(eventId))?.event.content;

  it.each(['1', '10', '12'])('prune an event sent before, in version %s', async (version) => {
    const roomId = await openRoom(version);
    const target = await rooms.say(roomId, bob, 'secret');
    const by = await core.localEvents.send(roomId, redaction(alice, target));
    expect(await contentOf(target)).toEqual({});
    core.events.clear();
    const found = await stored(target);
    expect(found?.event.content).toEqual({});
    expect(found?.redactedByNid).toBe((await stored(by))?.nid);
  });

  it('wait for an event that comes later', async () => {
    const roomId = await openRoom('10');
    const message = { type: 'm.room.message', sender: bob, content: { body: 'secret' } };
    const [target] = (await fork(roomId, [message])) as [Arrival];
    const { eventId } = target.event;
    const by = await core.localEvents.send(roomId, redaction(alice, eventId));
    // Clients do not see it, but the room goes on from it.
    expect((await stored(by))?.softFailed).toBe(true);
    expect((await live(roomId)).extremities.map(({ event }) => event.eventId)).toEqual([by]);
    core = await test.restart();
    rooms = testRooms(core);
    const stateBefore = await core.snapshots.load((await live(roomId)).nid, target.stateBefore.nid);
    await append(roomId, [{ ...target, stateBefore }]);
    expect(await contentOf(eventId)).toEqual({});
    expect((await stored(by))?.softFailed).toBe(false);
    core.events.clear();
    expect(await contentOf(eventId)).toEqual({});
    expect((await stored(by))?.softFailed).toBe(false);
  });

  it('come with what they redact', async () => {
    const roomId = await openRoom('10');
    const message = { type: 'm.room.message', sender: bob, content: { body: 'secret' } };
    const [target] = (await fork(roomId, [message])) as [Arrival];
    const [by] = (await fork(roomId, [redaction(bob, target.event.eventId)])) as [Arrival];
    await append(roomId, [by, target]);
    for (const clear of [false, true]) {
      if (clear) core.events.clear();
      expect(await contentOf(target.event.eventId)).toEqual({});
      expect((await stored(by.event.eventId))?.softFailed).toBe(false);
    }
  });

  it('of what is redacted already are shown too', async () => {
    const roomId = await openRoom('10');
    const target = await rooms.say(roomId, bob, 'secret');
    const first = await core.localEvents.send(roomId, redaction(alice, target));
    const again = await core.localEvents.send(roomId, redaction(bob, target));
    expect((await stored(again))?.softFailed).toBe(false);
    expect((await stored(target))?.redactedByNid).toBe((await stored(first))?.nid);
  });

  it.each([
    ['1', false],
    ['10', true],
  ])(
    'of an event of another room are kept from clients in version %s: %s',
    async (version, kept) => {
      const target = await rooms.say(await openRoom(version), alice, 'mine');
      const by = await core.localEvents.send(await openRoom(version), redaction(alice, target));
      expect(await contentOf(target)).toMatchObject({ body: 'mine' });
      expect((await stored(by))?.softFailed).toBe(kept);
    },
  );

  it('by those who may not are kept without effect', async () => {
    const roomId = await openRoom('10');
    const target = await rooms.say(roomId, alice, 'mine');
    const power = { ...(await rooms.stateOf(roomId, 'm.room.power_levels')), redact: 100 };
    await core.localEvents.send(roomId, {
      type: 'm.room.power_levels',
      stateKey: '',
      sender: alice,
      content: power,
    });
    const [built] = (await fork(roomId, [redaction(bob, target)])) as [Arrival];
    const foreign: MatrixEvent = { ...built.event, sender: '@bob:elsewhere.test' as never };
    await append(roomId, [{ ...built, event: foreign }]);
    expect(await contentOf(target)).toMatchObject({ body: 'mine' });
    expect((await stored(foreign.eventId))?.softFailed).toBe(true);
    // And do not keep others from it.
    const by = await core.localEvents.send(roomId, redaction(alice, target));
    expect((await stored(target))?.redactedByNid).toBe((await stored(by))?.nid);
  });
});

describe('what is kept beside events', () => {
  it('has each change of state, in log order', async () => {
    const roomId = await openRoom();
    for (const name of ['one', 'two']) await core.localEvents.send(roomId, named(alice, name));
    const { nid } = await live(roomId);
    const { rows } = await core.database.query<{ type: string; event_nid: number }>({
      text: `SELECT type, event_nid FROM state_changes WHERE room_nid = $1 AND type = 'm.room.name'
        ORDER BY stream_pos`,
      values: [nid],
    });
    const [first, second] = rows.map(({ event_nid }) => event_nid);
    const last = await core.events.byNid(nid, second ?? 0);
    expect(last?.event.content).toEqual({ name: 'two' });
    expect(last?.replacesNid).toBe(first);
  });

  it('has states that can be read at every event', async () => {
    const roomId = await openRoom();
    const ids: EventId[] = [];
    for (let count = 0; count < 20; count += 1) {
      ids.push(await core.localEvents.send(roomId, named(alice, `${count}`)));
    }
    core = await test.restart();
    const { nid } = await live(roomId);
    for (const [count, id] of ids.entries()) {
      const event = await core.events.byId(id);
      const state = await core.snapshots.load(nid, event?.snapshotAfter ?? 0);
      expect(state.get(stateKeyOf('m.room.name', ''))?.eventId).toBe(id);
      const before = await core.snapshots.load(nid, event?.snapshotBefore ?? 0);
      expect(before.get(stateKeyOf('m.room.name', ''))?.eventId).toBe(ids[count - 1]);
    }
  });
});
