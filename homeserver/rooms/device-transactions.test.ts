import type { DeviceId, EventId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { alicesRoom } from '../testing/alices-room.ts';
import { holdRoom } from '../testing/log-trouble.ts';
import { localUser, type TestCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import { DeviceTransactions } from './device-transactions.ts';
import type { Sender } from './event-sender.ts';

const alice = localUser('alice');
const bob = localUser('bob');

let test: TestCore;
let core: Core;
let rooms: TestRooms;
let roomId: RoomId;
beforeAll(async () => {
  ({ test, core, rooms, roomId } = await alicesRoom());
});
afterAll(() => test.close());

let devices = 0;
const newDevice = (): Sender => ({
  userId: alice,
  deviceId: `D${++devices}` as DeviceId,
  isGuest: false,
  isAdmin: false,
  suspended: false,
});
const say = (sender: Sender, txnId: string, room = roomId): Promise<EventId> =>
  rooms.eventSender.message(sender, {
    roomId: room,
    type: 'm.room.message',
    txnId,
    content: { msgtype: 'm.text', body: txnId },
  });
const stored = async (txnId: string): Promise<number> => {
  const { rows } = await core.database.query<{ n: number }>({
    text: 'SELECT count(*)::int AS n FROM events WHERE txn_id = $1',
    values: [txnId],
  });
  return rows[0]?.n as number;
};

describe('a transaction that is repeated', () => {
  it('shares the run under way, though another of the device has failed meanwhile', async () => {
    const device = newDevice();
    const elsewhere = await rooms.roomCreator.create(bob, {});
    await say(device, 'warm');
    const room = await core.registry.find(roomId);
    const release = await holdRoom(core, room?.nid as number);
    const first = say(device, 'under way');
    await expect(say(device, 'refused', elsewhere)).rejects.toMatchObject({
      errcode: 'M_FORBIDDEN',
    });
    const second = say(device, 'under way');
    await release();
    expect(await second).toBe(await first);
    expect(await stored('under way')).toBe(1);
  });

  it.each([
    ['a device', newDevice()],
    ['an application service, which has none', { ...newDevice(), deviceId: undefined }],
  ])('is known after any number of others and a restart, for %s', async (who, device) => {
    const first = await say(device, `first of ${who}`);
    const ids: EventId[] = [];
    for (let i = 0; i < 520; i += 1) ids.push(await say(device, `${i} of ${who}`));
    expect(await say(device, `first of ${who}`)).toBe(first);
    core = await test.restart();
    rooms = testRooms(core);
    expect(await say(device, `first of ${who}`)).toBe(first);
    expect(await say(device, `200 of ${who}`)).toBe(ids[200]);
    expect(await stored(`200 of ${who}`)).toBe(1);
  });

  it('makes one event where two processes carry it out at the same time', async () => {
    const device = newDevice();
    const others = testRooms({
      ...core,
      transactions: new DeviceTransactions(core.database, core.log),
    });
    const message = {
      roomId,
      type: 'm.room.message',
      txnId: 'twice',
      content: { msgtype: 'm.text', body: 'twice' },
    };
    const both = await Promise.all([
      rooms.eventSender.message(device, message),
      others.eventSender.message(device, message),
    ]);
    expect(both[0]).toBe(both[1]);
    expect(await stored('twice')).toBe(1);
  });

  it('is another one under another path: redactions name their target there', async () => {
    const device = newDevice();
    const targets = [await say(device, 'one'), await say(device, 'two')] as const;
    const redact = (target: EventId) =>
      rooms.eventSender.redaction(device, { roomId, txnId: 'R', content: {} }, target);
    const [first, second] = [await redact(targets[0]), await redact(targets[1])];
    expect(second).not.toBe(first);
    core = await test.restart();
    rooms = testRooms(core);
    expect([await redact(targets[0]), await redact(targets[1])]).toEqual([first, second]);
    expect(await stored('R')).toBe(2);
  });
});

it('a device with few transactions is not asked about', async () => {
  const device = newDevice();
  await say(device, 'known');
  const before = core.database.statementCount;
  for (let i = 0; i < 100; i += 1) await say(device, `quick ${i}`);
  expect(core.database.statementCount - before).toBe(100);
});

it('what is held of all devices together is bounded', async () => {
  let looked = 0;
  const db = {
    query: (statement: Parameters<typeof core.database.query>[0]) => {
      looked += 1;
      return core.database.query(statement);
    },
  } as typeof core.database;
  const transactions = new DeviceTransactions(db, core.log, { maxTransactions: 10 });
  const once = (device: string, txnId: string) =>
    transactions.once(
      alice,
      device as DeviceId,
      { roomId, type: 'm.room.message', target: undefined, txnId },
      async () => '$event' as EventId,
    );
  for (let i = 0; i < 100; i += 1) await once('bounded', `${i}`);
  expect(looked).toBeGreaterThan(5);
  expect(looked).toBeLessThan(15);
});
