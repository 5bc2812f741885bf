import type { DeviceId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import type { Tx } from './database.ts';
import { type NewOutboundEdu, outboundEdus, outboundEdusSection } from './outbound-edus.ts';
import {
  type ToDeviceSend,
  toDeviceMessages,
  toDeviceSection,
  trimToDeviceMessages,
} from './to-device.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await testDatabase();
  await test.database.query({
    text: `INSERT INTO users (user_id, created_at_ms) VALUES
      ('@alice:here.test', 0), ('@bob:here.test', 0)`,
  });
  await test.database.query({
    text: `INSERT INTO devices (user_id, device_id, created_at_ms) VALUES
      ('@alice:here.test', 'A1', 0), ('@alice:here.test', 'A2', 0), ('@bob:here.test', 'B1', 0)`,
  });
});
afterAll(() => test.close());

const alice = '@alice:here.test' as UserId;
const bob = '@bob:here.test' as UserId;
const everything = Number.MAX_SAFE_INTEGER;
const noLimit = { messages: 100_000, bytes: everything };

let sends = 0;
const send = (
  local: readonly (readonly [UserId, string, string])[],
  remote: readonly string[] = [],
  messageId = `m${sends++}`,
): ToDeviceSend => ({
  source: 'test',
  messageId,
  receivedAtMs: 1,
  local: local.map(([userId, deviceId, event]) => ({ userId, deviceId, event })),
  remote: remote.map((destination) => ({
    destination: destination as ServerName,
    content: `{"to":"${destination}"}`,
  })),
  delivered: [],
  outboundPositions: [],
});

/** Writes as the log does; counts the statements. */
const write = async <Row>(
  section: {
    needsTransaction(rows: readonly Row[]): boolean;
    write(tx: Tx, rows: readonly Row[]): Promise<number>;
  },
  rows: readonly Row[],
) => {
  let statements = 0;
  const tx = {
    query: (statement: { text: string }) => {
      statements += 1;
      return test.database.query(statement);
    },
  } as unknown as Tx;
  const highest = await section.write(tx, rows);
  return { statements, highest, needsTransaction: section.needsTransaction(rows) };
};

const waiting = (userId: UserId, deviceId: string, limit = noLimit) =>
  toDeviceMessages(test.database, userId, deviceId as DeviceId, 0, everything, limit);

beforeEach(async () => {
  await test.database.query({ text: 'DELETE FROM to_device_messages' });
});

it('writes what many send with one statement, in order, each message id once', async () => {
  await write(toDeviceSection, [send([[alice, 'A1', '"before"']], [], 'known')]);
  const rows = [
    ...Array.from({ length: 100 }, (_, index) =>
      send([
        [alice, '*', `"${index} to all, with \\u001e and \\"quotes\\""`],
        [bob, 'B1', `"${index} to one"`],
        [bob, 'gone', '"to none"'],
      ]),
    ),
    send([[alice, 'A1', '"again"']], [], 'known'),
    send([[alice, 'A1', '"first"']], ['one.test', 'two.test'], 'twice'),
    send([[alice, 'A1', '"second"']], ['one.test'], 'twice'),
  ];
  const { statements, highest, needsTransaction } = await write(toDeviceSection, rows);
  expect({ statements, needsTransaction }).toEqual({ statements: 1, needsTransaction: false });
  const { messages } = await waiting(alice, 'A1');
  expect(messages.map(({ event }) => event)).toEqual([
    '"before"',
    ...Array.from({ length: 100 }, (_, n) => `"${n} to all, with \\u001e and \\"quotes\\""`),
    '"first"',
  ]);
  expect((await waiting(bob, 'B1')).messages).toHaveLength(100);
  const positions = rows.flatMap(({ delivered }) => delivered.map(({ streamPos }) => streamPos));
  expect(positions).toEqual(positions.toSorted((a, b) => a - b));
  expect(positions).toHaveLength(301);
  expect(rows[3]?.delivered.map(({ deviceId }) => deviceId)).toEqual(['A1', 'A2', 'B1']);
  const sent = rows.map(({ outboundPositions }) => outboundPositions.length);
  expect(sent.slice(100)).toEqual([0, 2, 0]);
  expect(highest).toBe(Math.max(...positions, ...rows.flatMap((row) => row.outboundPositions)));
});

it('writes more than a statement should hold with several, in one transaction', async () => {
  const large = `"${'x'.repeat(1_500_000)}"`;
  const rows = Array.from({ length: 5 }, () => send([[bob, 'B1', large]]));
  const { statements, needsTransaction } = await write(toDeviceSection, rows);
  expect({ statements, needsTransaction }).toEqual({ statements: 3, needsTransaction: true });
  expect((await waiting(bob, 'B1')).messages).toHaveLength(5);
});

it('gives as many messages and bytes as asked for, and says whether that is all', async () => {
  const sizes = [400, 500, 200, 5_000, 100];
  await write(
    toDeviceSection,
    sizes.map((size) => send([[bob, 'B1', 'x'.repeat(size)]])),
  );
  const lengths = async (limit: typeof noLimit, after = 0) => {
    const found = await toDeviceMessages(
      test.database,
      bob,
      'B1' as DeviceId,
      after,
      everything,
      limit,
    );
    const last = found.messages.at(-1)?.streamPos;
    return { sizes: found.messages.map(({ event }) => event.length), isAll: found.isAll, last };
  };
  const first = await lengths({ messages: 100, bytes: 1_000 });
  expect(first).toMatchObject({ sizes: [400, 500], isAll: false });
  const second = await lengths({ messages: 100, bytes: 1_000 }, first.last);
  expect(second).toMatchObject({ sizes: [200], isAll: false });
  const third = await lengths({ messages: 100, bytes: 1_000 }, second.last);
  // One at least, however large.
  expect(third).toMatchObject({ sizes: [5_000], isAll: false });
  const last = await lengths({ messages: 100, bytes: 1_000 }, third.last);
  expect(last).toMatchObject({ sizes: [100], isAll: true });
  expect(await lengths({ messages: 3, bytes: 100_000 })).toMatchObject({ isAll: false });
  expect(await lengths(noLimit)).toMatchObject({ sizes, isAll: true });
  expect(await lengths(noLimit, last.last)).toMatchObject({ sizes: [], isAll: true });
});

it('drops what a device has not fetched: the oldest, and of who floods it first', async () => {
  const nasty = JSON.stringify('\u0000 \ud800 "sender":"@u:friend.test"');
  const from = (server: string, n: number) => `{"type":${nasty},"sender":"@u:${server}","n":${n}}`;
  const queue = async () =>
    (await waiting(bob, 'B1')).messages.map(({ event }) => {
      const { sender, n } = JSON.parse(event) as { sender: string; n: number };
      return `${sender.slice(3)} ${n}`;
    });
  const rows = [
    send([[bob, 'B1', from('friend.test', 1)]]),
    ...Array.from({ length: 20 }, (_, n) => send([[bob, 'B1', from('flood.test', n)]])),
    send([[bob, 'B1', from('friend.test:8448', 2)]]),
    send([[bob, 'B1', from('friend.test', 3)]]),
  ];
  await write(toDeviceSection, rows);
  const trim = (messages: number, bytes: number) =>
    trimToDeviceMessages(test.database, bob, 'B1' as DeviceId, { messages, bytes });
  expect(await trim(100, 100_000)).toBe(0);
  expect(await trim(6, 100_000)).toBe(17);
  const kept = ['friend.test 1', 'flood.test 17', 'flood.test 18', 'flood.test 19'];
  expect(await queue()).toEqual([...kept, 'friend.test:8448 2', 'friend.test 3']);
  const bytes = Buffer.byteLength(from('friend.test:8448', 2) + from('friend.test', 3));
  expect(await trim(100, bytes)).toBe(4);
  expect(await queue()).toEqual(['friend.test:8448 2', 'friend.test 3']);
});

it('writes EDUs for other servers with one statement, in order', async () => {
  const edus: NewOutboundEdu[] = Array.from({ length: 50 }, (_, index) => ({
    type: 'm.test',
    content: `{"n":${index}}`,
    destinations: Array.from({ length: index % 3 }, (__, n) => `s${n}.test` as ServerName),
    streamPos: 0,
  }));
  const { rows } = await test.database.query<{ pos: number }>({
    text: 'SELECT last_value AS pos FROM stream_positions',
  });
  const { statements, highest, needsTransaction } = await write(outboundEdusSection, edus);
  expect({ statements, needsTransaction }).toEqual({ statements: 1, needsTransaction: false });
  const stored = await outboundEdus(test.database, rows[0]?.pos as number, highest, 1_000);
  expect(stored.map((edu) => ({ ...edu, destinations: edu.destinations.toSorted() }))).toEqual(
    edus.map(({ streamPos, type, content, destinations }) => ({
      streamPos,
      type,
      content,
      destinations,
    })),
  );
});
