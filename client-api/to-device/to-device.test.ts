import { eventually } from '../../homeserver/testing/server-process.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  type DeviceUser,
  type EncryptionServer,
  encryptionServer,
} from '../testing/encryption-server.ts';

let server: EncryptionServer;
let alice: DeviceUser;
let bob: DeviceUser;
beforeAll(async () => {
  server = await encryptionServer();
});
beforeEach(async () => {
  alice = await server.person('alice');
  bob = await server.person('bob');
});
afterAll(() => server.stop());

let transactions = 0;
const send = (
  from: DeviceUser,
  to: DeviceUser,
  content: JsonObject,
  { deviceId = to.deviceId as string, txnId = `t${transactions++}` } = {},
) =>
  from.ok('PUT', `/sendToDevice/m.test/${txnId}`, {
    messages: { [to.userId]: { [deviceId]: content } },
  });

const contents = (sync: { to_device?: { events: { content: JsonObject }[] } }) =>
  (sync.to_device?.events ?? []).map(({ content }) => content);

const stored = async ({ userId, deviceId }: DeviceUser): Promise<number> => {
  const { rows } = await server.test.core.database.query({
    text: 'SELECT 1 FROM to_device_messages WHERE user_id = $1 AND device_id = $2',
    values: [userId, deviceId],
  });
  return rows.length;
};

describe('messages to devices', () => {
  it('come until they are acknowledged, and are deleted then', async () => {
    const { next_batch: since } = await bob.sync();
    await send(alice, bob, { n: 1 });
    await send(alice, bob, { n: 2 });
    const first = await bob.sync(since);
    expect(first.to_device.events).toEqual([
      { type: 'm.test', sender: alice.userId, content: { n: 1 } },
      { type: 'm.test', sender: alice.userId, content: { n: 2 } },
    ]);
    expect(contents(await bob.sync(since))).toEqual([{ n: 1 }, { n: 2 }]);
    await send(alice, bob, { n: 3 });
    expect(await stored(bob)).toBe(3);
    const second = await bob.sync(first.next_batch);
    expect(contents(second)).toEqual([{ n: 3 }]);
    expect(await stored(bob)).toBe(1);
    expect(contents(await bob.sync(second.next_batch))).toEqual([]);
    expect(await stored(bob)).toBe(0);
  });

  it('are bounded, each, and together where they go to all devices', async () => {
    const attempt = (messages: JsonObject) =>
      alice.call('PUT', `/sendToDevice/m.test/large${transactions++}`, { messages });
    const content = (bytes: number) => ({ text: 'x'.repeat(bytes - '{"text":""}'.length) });
    const one = (bytes: number) => ({ [bob.userId]: { [bob.deviceId]: content(bytes) } });
    expect((await attempt(one(65_536))).status).toBe(200);
    expect(await attempt(one(65_537))).toMatchObject({
      status: 413,
      body: { errcode: 'M_TOO_LARGE' },
    });
    const far = await attempt({ '@x:elsewhere.test': { D: content(65_537) } });
    expect(far.body.errcode).toBe('M_TOO_LARGE');
    const star = (bytes: number) => ({
      [bob.userId]: { '*': content(bytes) },
      [alice.userId]: { '*': content(bytes) },
    });
    expect((await attempt(star(30_000))).status).toBe(200);
    expect((await attempt(star(33_000))).body.errcode).toBe('M_TOO_LARGE');
    expect(await stored(bob)).toBe(2);
  });

  it('survive a loss of memory', async () => {
    const { next_batch: since } = await bob.sync();
    await send(alice, bob, { n: 1 });
    server.test.core.encryption.reset(server.test.core.log.position);
    const first = await bob.sync(since);
    expect(contents(first)).toEqual([{ n: 1 }]);
    server.test.core.encryption.reset(server.test.core.log.position);
    expect(contents(await bob.sync(first.next_batch))).toEqual([]);
    expect(await stored(bob)).toBe(0);
  });

  it('wake the device, and no other gets them', async () => {
    const tablet = await bob.anotherDevice();
    const [phone, other] = [await bob.sync(), await tablet.sync()];
    const waiting = bob.sync(phone.next_batch, 20_000);
    await send(alice, bob, { hello: true });
    expect(contents(await waiting)).toEqual([{ hello: true }]);
    expect(contents(await tablet.sync(other.next_batch))).toEqual([]);
  });

  it('go to all devices with a star', async () => {
    const tablet = await bob.anotherDevice();
    const [phone, other] = [await bob.sync(), await tablet.sync()];
    await send(alice, bob, { to: 'all' }, { deviceId: '*' });
    expect(contents(await bob.sync(phone.next_batch))).toEqual([{ to: 'all' }]);
    expect(contents(await tablet.sync(other.next_batch))).toEqual([{ to: 'all' }]);
  });

  it('are sent once for each transaction, also at the same moment', async () => {
    const { next_batch: since } = await bob.sync();
    await Promise.all([1, 2, 3].map((n) => send(alice, bob, { n }, { txnId: 'same' })));
    await send(alice, bob, { n: 4 }, { txnId: 'same' });
    expect(contents(await bob.sync(since))).toHaveLength(1);
    const tablet = await alice.anotherDevice();
    await send(tablet, bob, { n: 5 }, { txnId: 'same' });
    expect(contents(await bob.sync(since))).toHaveLength(2);
  });

  it('come a hundred at a time, none lost', async () => {
    let { next_batch: since } = await bob.sync();
    for (let n = 0; n < 230; n += 10) {
      await Promise.all(
        Array.from({ length: 10 }, (_, offset) => send(alice, bob, { n: n + offset })),
      );
    }
    const counts: number[] = [];
    const seen = new Set<unknown>();
    for (let round = 0; round < 4; round += 1) {
      const answer = await bob.sync(since);
      since = answer.next_batch;
      counts.push(contents(answer).length);
      for (const { n } of contents(answer)) seen.add(n);
    }
    expect(counts).toEqual([100, 100, 30, 0]);
    expect(seen.size).toBe(230);
    expect(await stored(bob)).toBe(0);
  });

  it('for devices that do not exist are dropped', async () => {
    await send(alice, bob, {}, { deviceId: 'NONE' });
    await send(alice, { ...bob, userId: '@none:here.test' as never }, {});
    expect(await stored(bob)).toBe(0);
  });

  it('are refused when they make no sense, and without a token', async () => {
    const path = '/sendToDevice/m.test/x';
    for (const body of [{}, { messages: [] }]) {
      expect((await alice.call('PUT', path, body)).body.errcode).toMatch(/M_(BAD_JSON|MISSING)/);
    }
    const nobody = { messages: { nobody: {} } };
    expect((await alice.call('PUT', path, nobody)).body.errcode).toBe('M_INVALID_PARAM');
    const answer = await server.server.request('PUT', `/_matrix/client/v3${path}`, { body: {} });
    expect([answer.status, answer.body.errcode]).toEqual([401, 'M_MISSING_TOKEN']);
  });
});

it('keeps no more for a device that does not come than fits its queue, and gives it in parts', async () => {
  const { next_batch: since } = await bob.sync();
  const large = 'x'.repeat(60_000);
  for (let n = 0; n < 330; n += 1) await send(alice, bob, { n, large });
  const bytes = async (): Promise<number> => {
    const { rows } = await server.test.core.database.query<{ bytes: number }>({
      text: `SELECT coalesce(sum(octet_length(event)), 0)::bigint AS bytes FROM to_device_messages
        WHERE user_id = $1`,
      values: [bob.userId],
    });
    return rows[0]?.bytes as number;
  };
  await eventually('the oldest are dropped', async () => (await bytes()) <= 16_000_000 * 1.1);
  const got: unknown[] = [];
  for (let token = since; ; ) {
    const answer = await bob.sync(token);
    const parts = contents(answer);
    if (parts.length === 0) break;
    expect(parts.length).toBeLessThanOrEqual(17);
    got.push(...parts.map(({ n }) => n));
    token = answer.next_batch;
  }
  expect(got.at(-1)).toBe(329);
  expect(got.length).toBeGreaterThan(230);
  expect(got.length).toBeLessThan(300);
});
