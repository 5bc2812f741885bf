/** What a query of keys weighs at most, however many people with however many devices it names. */

import { localUser } from '../../homeserver/testing/test-core.ts';
import type { UserId } from '../../spec/identifiers.ts';
import {
  type DeviceUser,
  type EncryptionServer,
  encryptionServer,
} from '../testing/encryption-server.ts';

const MIB = 1_024 * 1_024;
let server: EncryptionServer;
let alice: DeviceUser;
let bob: DeviceUser;
const hoarders = Array.from({ length: 20 }, (_, n) => localUser(`hoarder${n}`));

beforeAll(async () => {
  server = await encryptionServer();
  alice = await server.person('alice');
  bob = await server.person('bob');
  await bob.ok('POST', '/keys/upload', {
    device_keys: {
      user_id: bob.userId,
      device_id: bob.deviceId,
      algorithms: [],
      keys: {},
      signatures: {},
    },
  });
  // As many as the limits let them have: each a little over 2 MiB.
  await server.test.core.database.query({
    text: `WITH accounts AS (
        INSERT INTO users (user_id, created_at_ms) SELECT unnest($1::text[]), 0 RETURNING user_id
      ), logged_in AS (
        INSERT INTO devices (user_id, device_id, created_at_ms)
        SELECT user_id, 'D' || n, 0 FROM accounts, generate_series(1, 33) n
      )
      INSERT INTO device_keys (user_id, device_id, keys)
      SELECT user_id, 'D' || n, json_build_object('keys', repeat('k', 65000))::text
      FROM accounts, generate_series(1, 33) n`,
    values: [hoarders],
  });
});
afterAll(() => server.stop());

const query = (users: readonly UserId[]) =>
  alice.call('POST', '/keys/query', {
    device_keys: Object.fromEntries(users.map((userId) => [userId, []])),
  });

it('has those with the fewest keys, and says that others are missing', async () => {
  const { status, text, body } = await query([...hoarders, bob.userId, alice.userId]);
  expect(status).toBe(200);
  expect(text.length).toBeLessThan(17 * MIB);
  const told = Object.keys(body.device_keys);
  expect(told).toContain(bob.userId);
  // Without devices, and so without weight.
  expect(told).toContain(alice.userId);
  const shown = hoarders.filter((userId) => told.includes(userId));
  expect(shown.length).toBeGreaterThan(5);
  expect(shown.length).toBeLessThan(10);
  // A client takes those who are neither told nor of a failed server for people without devices.
  const failure = body.failures[alice.userId.slice(alice.userId.indexOf(':') + 1)];
  expect(failure.error).toContain(`${hoarders.length - shown.length} more`);
});

it('has everyone of whom a client asks again', async () => {
  for (const some of [hoarders.slice(0, 4), hoarders.slice(16)]) {
    const { body } = await query(some);
    expect(Object.keys(body.device_keys).sort()).toEqual([...some].sort());
    expect(body.failures).toEqual({});
  }
});
