import { compileFilter } from '../../spec/filter.ts';
import type { DeviceId, EventId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { packedJsonColumns, unpackedJson } from '../storage/packed-json.ts';
import { createSync } from '../sync/create-sync.ts';
import { parseSyncToken } from '../sync/tokens.ts';
import { cutSocket, holdRoom, logWaits, recordSessions } from '../testing/log-trouble.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';

const alice = localUser('alice');
const bob = localUser('bob');
const deviceId = 'D' as DeviceId;
const sender = (userId = alice) => ({
  userId,
  deviceId,
  isGuest: false,
  isAdmin: false,
  suspended: false,
});

let test: TestCore;
let core: Core;
let rooms: TestRooms;
let sessions: ReturnType<typeof recordSessions>;
let roomId: RoomId;
let elsewhere: RoomId;
let nid: number;
beforeEach(async () => {
  sessions = recordSessions();
  test = await testCore();
  core = test.core;
  rooms = testRooms(core);
  roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  elsewhere = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  await rooms.membership.join(bob, roomId);
  nid = (await core.registry.find(roomId))?.nid as number;
});
afterEach(async () => {
  sessions.stop();
  await test.close();
});

const say = (txnId: string, room = roomId, userId = alice): Promise<EventId> =>
  rooms.eventSender.message(sender(userId), {
    roomId: room,
    type: 'm.room.message',
    txnId,
    content: { msgtype: 'm.text', body: txnId },
  });

let token: string | undefined;
const readOn = async (): Promise<string[]> => {
  const text = await createSync(core).sync({
    userId: alice,
    deviceId,
    filter: compileFilter({}),
    since: token === undefined ? undefined : parseSyncToken(token),
    fullState: false,
    useStateAfter: false,
    timeoutMs: 0,
  });
  const { next_batch, rooms: found } = JSON.parse(text);
  token = next_batch;
  const events = found?.join?.[roomId]?.timeline?.events ?? [];
  return events.flatMap((event: { content: { body?: string } }) => event.content.body ?? []);
};

const stored = async () => {
  const { rows } = await core.database.query<{ event_id: EventId; packed: string }>({
    text: `SELECT e.event_id, ${packedJsonColumns} AS packed
      FROM events e JOIN rooms r USING (room_nid)
      WHERE e.room_nid = $1 AND e.type = 'm.room.message' ORDER BY e.stream_pos`,
    values: [nid],
  });
  return rows.map(({ event_id, packed }) => {
    const { content, prev_events: prev } = JSON.parse(unpackedJson(packed));
    return { event_id, body: content.body, prev };
  });
};

/** A message whose statement waits in the database when the connection it came by is cut. */
const cutInTheMiddle = async (): Promise<() => Promise<void>> => {
  const release = await holdRoom(core, nid);
  const first = say('Z');
  first.catch(() => undefined);
  await logWaits(core);
  cutSocket(sessions.clients.at(-1));
  await expect(first).rejects.toThrow('could not be written');
  return release;
};

describe('a statement that outlives its connection', () => {
  it('commits nothing once the log goes on: a later repeat is seen by readers', async () => {
    await say('warm');
    expect(await readOn()).toEqual(['warm']);
    const release = await cutInTheMiddle();
    await say('other', elsewhere);
    expect(await readOn()).toEqual([]);
    await release();
    const eventId = await say('Z');
    expect(await readOn()).toEqual(['Z']);
    expect((await stored()).map(({ body }) => body)).toEqual(['warm', 'Z']);
    expect((await stored()).at(-1)?.event_id).toBe(eventId);
  });

  it('makes no second event of a transaction that is repeated before it would end', async () => {
    await say('warm');
    const release = await cutInTheMiddle();
    test.clock.advance(1_500);
    const again = say('Z');
    await logWaits(core);
    await release();
    await again;
    await say('next', roomId, bob);
    const messages = await stored();
    expect(messages.map(({ body }) => body)).toEqual(['warm', 'Z', 'next']);
    for (const [index, { prev }] of messages.slice(1).entries()) {
      expect(prev).toEqual([messages[index]?.event_id]);
    }
  });

  it('leaves no state behind that memory does not know of', async () => {
    const release = await holdRoom(core, nid);
    const draft = { type: 'm.room.topic', stateKey: '', sender: alice, content: { topic: 'Z' } };
    const first = core.localEvents.send(roomId, draft);
    first.catch(() => undefined);
    await logWaits(core);
    cutSocket(sessions.clients.at(-1));
    await expect(first).rejects.toThrow('could not be written');
    await core.registry.find(roomId);
    await release();
    await say('next');
    expect(await rooms.stateOf(roomId, 'm.room.topic')).toBeUndefined();
    const { rows } = await core.database.query({
      text: `SELECT 1 FROM current_state WHERE room_nid = $1 AND type = 'm.room.topic'`,
      values: [nid],
    });
    expect(rows).toEqual([]);
  });
});

describe('a statement that the database cancels', () => {
  it('has an unknown outcome: the session goes, and the log goes on with another', async () => {
    const room = await core.registry.find(roomId);
    const release = await holdRoom(core, nid);
    const first = say('Z');
    first.catch(() => undefined);
    await logWaits(core);
    await core.database.query({
      text: `SELECT pg_cancel_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'parley log%'`,
    });
    await expect(first).rejects.toThrow('could not be written');
    await release();
    await say('Z');
    expect(await core.registry.find(roomId)).not.toBe(room);
    expect(sessions.clients).toHaveLength(2);
    expect((await stored()).map(({ body }) => body)).toEqual(['Z']);
  });
});

describe('a database that has become a standby', () => {
  it('is left for a session that may write', async () => {
    await sessions.clients.at(-1)?.query('SET default_transaction_read_only = on');
    await expect(say('A')).rejects.toThrow('could not be written');
    await say('A');
    expect(sessions.clients).toHaveLength(2);
  });
});
