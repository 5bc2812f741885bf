/** What several processes keep in memory of one database is the same in all of them. */
import { compileFilter } from '../../spec/filter.ts';
import type { DeviceId, EventId, RoomId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { LogReader } from '../streams/log-reader.ts';
import { createSync } from '../sync/create-sync.ts';
import { type LinkedCores, linkedCores } from './linked-cores.ts';
import { eventually } from './server-process.ts';
import { localUser } from './test-core.ts';
import { testRooms } from './test-rooms.ts';

const [alice, bob] = [localUser('alice'), localUser('bob')];

let linked: LinkedCores;
let roomId: RoomId;
beforeAll(async () => {
  linked = await linkedCores(3);
  const rooms = testRooms(at(0));
  roomId = await rooms.roomCreator.create(bob, { preset: 'public_chat' });
  await rooms.membership.join(alice, roomId);
  await linked.settled();
});
afterAll(() => linked.close());
const at = (nth: number): Core => linked.cores[nth] as Core;

/** What alice has not read of a room, as a first sync at a core says. */
const unreadAt = async (nth: number, roomId: RoomId): Promise<number> => {
  await at(nth).log.caughtUp();
  const answer = JSON.parse(
    await createSync(at(nth)).sync({
      userId: alice,
      deviceId: undefined,
      filter: compileFilter({}),
      since: undefined,
      fullState: false,
      useStateAfter: false,
      timeoutMs: 0,
    }),
  );
  return answer.rooms.join[roomId].unread_notifications.notification_count;
};

it('unread counts', async () => {
  const said: EventId[] = [];
  for (let nth = 0; nth < 12; nth += 1) {
    said.push(await testRooms(at(nth % 3)).say(roomId, bob, `message ${nth}`));
    expect(await unreadAt((nth + 1) % 3, roomId)).toBe(nth + 1);
  }
  for (let nth = 0; nth < 12; nth += 3) {
    const { receipts } = at((nth / 3) % 3);
    await receipts.set(alice, roomId, 'm.read', said[nth] as EventId);
    for (const reader of [0, 1, 2]) expect(await unreadAt(reader, roomId)).toBe(11 - nth);
  }
});

it('how many one-time keys a device has', async () => {
  const device = 'PHONE' as DeviceId;
  const { database } = at(0);
  await database.query({
    text: `INSERT INTO users (user_id, created_at_ms) VALUES ($1, 0)`,
    values: [alice],
  });
  await database.query({
    text: `INSERT INTO devices (user_id, device_id, created_at_ms) VALUES ($1, $2, 0)`,
    values: [alice, device],
  });
  const supplies = () =>
    Promise.all(linked.cores.map(({ encryption }) => encryption.deviceKeys.supply(alice, device)));
  const [before] = await supplies();
  const keys = Object.fromEntries(
    [1, 2, 3].map((nth) => [`signed_curve25519:${nth}`, { key: `${nth}`, signatures: {} }]),
  );
  await at(1).encryption.deviceKeys.upload(alice, device, { oneTimeKeys: keys });
  await linked.settled();
  const [uploaded, ...others] = await supplies();
  expect(uploaded).not.toEqual(before);
  for (const other of others) expect(other).toEqual(uploaded);
  await at(2).encryption.deviceKeys.claim({ userId: bob } as never, [
    { userId: alice, deviceId: device, algorithm: 'signed_curve25519' },
  ]);
  await linked.settled();
  const [claimed, ...rest] = await supplies();
  expect(claimed).not.toEqual(uploaded);
  for (const other of rest) expect(other).toEqual(claimed);
});

it('an index is written by one process, and then by the next', async () => {
  const name = 'an index of the test';
  const stepsBy = [0, 0, 0];
  await at(0).database.query({
    text: 'INSERT INTO reader_cursors (reader, position) VALUES ($1, 0)',
    values: [name],
  });
  await linked.move({ pins: { [`reader ${name}`]: 1 } });
  await linked.settled();
  const readers = linked.cores.map(
    (core, nth) =>
      new LogReader(name, core, async (_tx, _after, upTo) => {
        stepsBy[nth] = (stepsBy[nth] as number) + 1;
        return upTo;
      }),
  );
  try {
    const rooms = testRooms(at(0));
    await rooms.say(roomId, bob, 'something');
    await eventually('it is indexed', () => (stepsBy[1] as number) > 0);
    await linked.move({ pins: { [`reader ${name}`]: 2 } });
    await rooms.say(roomId, bob, 'more');
    await eventually('the next goes on', () => (stepsBy[2] as number) > 0);
    expect(stepsBy[0]).toBe(0);
  } finally {
    for (const reader of readers) await reader.close();
  }
});
