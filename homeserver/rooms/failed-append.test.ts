import type { EventId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { alicesRoom } from '../testing/alices-room.ts';
import { holdRoom, logWaits } from '../testing/log-trouble.ts';
import { localUser, type TestCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import type { LiveRoom } from './live-room.ts';
import { Outliers } from './outliers.ts';

const alice = localUser('alice');
const bob = localUser('bob');

let test: TestCore;
let core: Core;
let rooms: TestRooms;
let roomId: RoomId;
beforeEach(async () => {
  ({ test, core, rooms, roomId } = await alicesRoom());
});
afterEach(() => test.close());

const live = async (): Promise<LiveRoom> => (await core.registry.find(roomId)) as LiveRoom;
const naming = { type: 'm.room.name', stateKey: '', sender: alice, content: { name: 'n' } };
const arrival = () =>
  core.localEvents.inRoom(roomId, async (room) => ({
    ...(await core.localEvents.build(room, naming)),
    stateBefore: room.state,
  }));
const rows = async <Row>(text: string): Promise<Row[]> =>
  (await core.database.query<Row>({ text, values: [(await live()).nid] })).rows;

const cutLog = () =>
  core.database.query({
    text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'parley log%'`,
  });

describe('what the room says already', () => {
  const twice: [string, () => Promise<unknown>][] = [
    ['state that is set again', () => core.localEvents.send(roomId, naming)],
    ['a join', () => rooms.membership.join(bob, roomId)],
    ['a leave', () => rooms.membership.leave(alice, roomId)],
  ];
  it.each(twice)('is not answered before it is durable: %s', async (_what, act) => {
    const release = await holdRoom(core, (await live()).nid);
    const both = [act(), act()];
    for (const each of both) each.catch(() => undefined);
    await logWaits(core);
    await cutLog();
    const outcomes = await Promise.allSettled(both);
    await release();
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('is answered once it is', async () => {
    const first = await core.localEvents.send(roomId, naming);
    expect(await core.localEvents.send(roomId, naming)).toBe(first);
    await rooms.membership.join(alice, roomId);
  });
});

describe('an append that fails before it is written', () => {
  it('leaves an outlier an outlier', async () => {
    const made = await arrival();
    const outliers = new Outliers(core);
    const stored = (await outliers.store(await live(), [made.event])).get(made.event.eventId);
    const place = core.chains.place.bind(core.chains);
    core.chains.place = () => Promise.reject(new Error('timeout exceeded when trying to connect'));
    const append = () =>
      core.localEvents.inRoom(roomId, (room) =>
        core.appender.append(room, [{ ...made, nid: stored?.nid as number }]),
      );
    await expect(append()).rejects.toThrow('timeout exceeded');
    expect((await core.events.byId(made.event.eventId))?.snapshotAfter).toBeUndefined();
    core.chains.place = place;
    await (await append()).committed;
    expect((await core.events.byId(made.event.eventId))?.snapshotAfter).toBeDefined();
    expect(await rooms.stateOf(roomId, 'm.room.name')).toEqual({ name: 'n' });
  });

  it('leaves no outlier behind that is not stored', async () => {
    const made = await arrival();
    const outliers = new Outliers(core);
    const place = core.chains.place.bind(core.chains);
    core.chains.place = () => Promise.reject(new Error('timeout exceeded when trying to connect'));
    await expect(outliers.store(await live(), [made.event])).rejects.toThrow('timeout exceeded');
    core.chains.place = place;
    expect(await core.events.byId(made.event.eventId)).toBeUndefined();
    await outliers.store(await live(), [made.event]);
    core.events.clear();
    expect(await core.events.byId(made.event.eventId)).toBeDefined();
  });

  it('leaves the room without what it lacks', async () => {
    const made = await arrival();
    const room = await live();
    room.lacks(made.event.eventId, true);
    const place = core.chains.place.bind(core.chains);
    core.chains.place = () => Promise.reject(new Error('timeout exceeded when trying to connect'));
    const append = core.localEvents.inRoom(roomId, (each) => core.appender.append(each, [made]));
    await expect(append).rejects.toThrow('timeout exceeded');
    core.chains.place = place;
    expect(room.missingPrevEvents.get(made.event.eventId)).toBe(true);
    expect(room.dead).toBe(false);
  });
});

describe('an event that is stored already', () => {
  it('gets no second row, and the room goes on, after a restart too', async () => {
    const made = await arrival();
    const append = () =>
      core.localEvents.inRoom(roomId, (room) =>
        core.appender.append(room, [made]).then(({ committed }) => ({ committed })),
      );
    await (await append()).committed;
    await expect((await append()).committed).rejects.toThrow('could not be written');
    expect(
      await rows(`SELECT event_nid FROM events WHERE room_nid = $1 AND type = 'm.room.name'`),
    ).toHaveLength(1);
    expect((await live()).extremities).toHaveLength(1);
    core = await test.restart();
    rooms = testRooms(core);
    expect((await live()).extremities).toHaveLength(1);
    await rooms.say(roomId, alice, 'goes on');
  });

  it('refuses an outlier under another number', async () => {
    const made = await arrival();
    const outliers = new Outliers(core);
    const room = await live();
    const stored = (await outliers.store(room, [made.event])).get(made.event.eventId);
    core.events.forget(stored?.nid as number);
    const again = await outliers.make(room, [made.event]);
    core.events.forget(stored?.nid as number);
    await expect(outliers.write(room, again)).rejects.toThrow('stored already');
    expect(core.log.isOpen).toBe(true);
  });
});

describe('a room whose row names an event that is not there', () => {
  it('goes on from the others, and the next event mends the row', async () => {
    const { nid } = await live();
    await core.database.query({
      text: `UPDATE room_heads SET extremities = extremities || 999999::bigint WHERE room_nid = $1`,
      values: [nid],
    });
    core = await test.restart();
    rooms = testRooms(core);
    const eventId = await rooms.say(roomId, alice, 'mends');
    const [head] = await rows<{ extremities: number[] }>(
      'SELECT extremities FROM room_heads WHERE room_nid = $1',
    );
    expect(head?.extremities).toEqual([(await core.events.byId(eventId))?.nid]);
  });
});

describe('redactions that wait for their target', () => {
  const awaited = (eventId: EventId) =>
    core.localEvents.inRoom(roomId, async (room) => {
      const draft = { type: 'm.room.redaction', sender: alice, redacts: eventId, content: {} };
      return (await core.localEvents.stage(room, draft)).committed;
    });
  const waiting = () =>
    rows<{ event_id: EventId }>('SELECT event_id FROM unapplied_redactions WHERE room_nid = $1');

  it('wait no more once it is there', async () => {
    const made = await arrival();
    const { eventId } = made.event;
    await awaited(eventId);
    expect(await waiting()).toEqual([{ event_id: eventId }]);
    const { committed } = await core.localEvents.inRoom(roomId, (room) =>
      core.appender.append(room, [made]).then((appended) => ({ committed: appended.committed })),
    );
    await committed;
    expect(await waiting()).toEqual([]);
    expect((await live()).unappliedRedactions.size).toBe(0);
    expect((await core.events.byId(eventId))?.redactedByNid).toBeDefined();
  });

  it('are given up for newer ones where there are too many', async () => {
    const newest = `$${'n'.repeat(43)}` as EventId;
    const { nid } = await live();
    await core.database.query({
      text: `INSERT INTO unapplied_redactions
        SELECT $1, '$old' || n, n FROM generate_series(-2000, -1) AS n`,
      values: [nid],
    });
    await awaited(newest);
    expect(await waiting()).toHaveLength(1_000);
    core = await test.restart();
    expect((await live()).unappliedRedactions.has(newest)).toBe(true);
  });
});
