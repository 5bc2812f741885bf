import { systemRandom } from '../../homeserver/random.ts';
import type { JsonObject } from '../../spec/event.ts';
import { type SigningKey, signingKeyFromSeed, signJson } from '../../spec/signing.ts';
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

/** A key whose id is its own public part, as cross-signing has it. */
const newKey = (): SigningKey => {
  const seed = systemRandom.bytes(32);
  return signingKeyFromSeed(signingKeyFromSeed('x', seed).publicKey, seed);
};

const keyObject = (userId: string, usage: string, key: SigningKey): JsonObject => ({
  user_id: userId,
  usage: [usage],
  keys: { [`ed25519:${key.publicKey}`]: key.publicKey },
});

interface Identity {
  readonly master: SigningKey;
  readonly selfSigning: SigningKey;
  readonly userSigning: SigningKey;
  readonly body: JsonObject;
}

const identity = ({ userId }: DeviceUser): Identity => {
  const [master, selfSigning, userSigning] = [newKey(), newKey(), newKey()];
  return {
    master,
    selfSigning,
    userSigning,
    body: {
      master_key: keyObject(userId, 'master', master),
      self_signing_key: signJson(keyObject(userId, 'self_signing', selfSigning), userId, master),
      user_signing_key: signJson(keyObject(userId, 'user_signing', userSigning), userId, master),
    },
  };
};

const upload = (who: DeviceUser, body: JsonObject) =>
  who.call('POST', '/keys/device_signing/upload', body);
const query = (who: DeviceUser, whose: DeviceUser) =>
  who.ok('POST', '/keys/query', { device_keys: { [whose.userId]: [] } });
const passwordOf = ({ userId, password }: DeviceUser) => ({
  type: 'm.login.password',
  identifier: { type: 'm.id.user', user: userId },
  password,
});

describe('cross-signing keys', () => {
  it('are uploaded once without proof, and told of; the user-signing key is nobody else’s', async () => {
    await server.room(alice, bob);
    const { next_batch: since } = await bob.sync();
    const { body } = identity(alice);
    expect((await upload(alice, body)).body).toEqual({});
    expect((await upload(alice, body)).body).toEqual({});
    expect((await bob.sync(since)).device_lists.changed).toEqual([alice.userId]);
    expect(await query(alice, alice)).toMatchObject({
      master_keys: { [alice.userId]: body['master_key'] },
      self_signing_keys: { [alice.userId]: body['self_signing_key'] },
      user_signing_keys: { [alice.userId]: body['user_signing_key'] },
    });
    const seen = await query(bob, alice);
    expect(seen.master_keys).toEqual({ [alice.userId]: body['master_key'] });
    expect(seen.user_signing_keys).toEqual({});
  });

  it('are replaced only by who proves who they are', async () => {
    await upload(alice, identity(alice).body);
    const { body } = identity(alice);
    const challenge = await upload(alice, body);
    expect(challenge.status).toBe(401);
    const auth = { ...passwordOf(alice), session: challenge.body.session };
    const wrong = await upload(alice, { ...body, auth: { ...auth, password: 'wrong password' } });
    expect(wrong.status).toBe(401);
    expect((await upload(alice, { ...body, auth })).body).toEqual({});
    expect((await query(bob, alice)).master_keys[alice.userId]).toEqual(body['master_key']);
  });

  it('are refused without a master key, its signature, or a token', async () => {
    const { body } = identity(alice);
    const { master_key: _, ...others } = body;
    expect((await upload(alice, others)).body.errcode).toBe('M_MISSING_PARAM');
    const forged = { ...body, self_signing_key: identity(alice).body['self_signing_key'] as never };
    expect((await upload(alice, forged)).body.errcode).toBe('M_INVALID_SIGNATURE');
    expect((await upload(bob, body)).body.errcode).toBe('M_INVALID_PARAM');
    const path = '/_matrix/client/v3/keys/device_signing/upload';
    expect((await server.server.request('POST', path, { body })).status).toBe(401);
  });

  it('share no id with a device', async () => {
    const { body, master } = identity(alice);
    await upload(alice, body);
    const answer = await server.server.request('POST', '/_matrix/client/v3/login', {
      body: { ...passwordOf(alice), device_id: master.publicKey },
    });
    expect([answer.status, answer.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
  });
});

describe('signatures', () => {
  const sign = (who: DeviceUser, body: JsonObject) =>
    who.ok('POST', '/keys/signatures/upload', body);

  const withDevice = async (who: DeviceUser, key: SigningKey): Promise<JsonObject> => {
    const keys: JsonObject = {
      user_id: who.userId,
      device_id: who.deviceId,
      algorithms: [],
      keys: { [`ed25519:${who.deviceId}`]: key.publicKey },
      signatures: {},
    };
    await who.ok('POST', '/keys/upload', { device_keys: keys });
    return keys;
  };

  it('on a device are everybody’s to see, and change the device list', async () => {
    await server.room(alice, bob);
    const mine = identity(alice);
    await upload(alice, mine.body);
    const keys = await withDevice(alice, newKey());
    const { next_batch: since } = await bob.sync();
    const signed = signJson(keys, alice.userId, mine.selfSigning);
    const answer = await sign(alice, { [alice.userId]: { [alice.deviceId]: signed } });
    expect(answer).toEqual({ failures: {} });
    expect((await bob.sync(since)).device_lists.changed).toEqual([alice.userId]);
    const { device_keys: seen } = await query(bob, alice);
    expect(seen[alice.userId][alice.deviceId].signatures).toEqual(signed.signatures);
  });

  it('on another’s master key are only for their maker', async () => {
    await server.room(alice, bob);
    const carol = await server.person('carol');
    const [mine, theirs] = [identity(alice), identity(bob)];
    await upload(alice, mine.body);
    await upload(bob, theirs.body);
    const { next_batch: since } = await bob.sync();
    const { next_batch: mySince } = await alice.sync();
    const master = theirs.body['master_key'] as JsonObject;
    const signed = signJson(master, alice.userId, mine.userSigning);
    await sign(alice, { [bob.userId]: { [theirs.master.publicKey]: signed } });
    expect((await alice.sync(mySince)).device_lists.changed).toEqual([bob.userId]);
    expect((await query(alice, bob)).master_keys[bob.userId]).toEqual(signed);
    expect((await query(bob, bob)).master_keys[bob.userId]).toEqual(master);
    expect((await query(carol, bob)).master_keys[bob.userId]).toEqual(master);
    expect((await bob.sync(since)).device_lists).toBeUndefined();
  });

  it('that are wrong are named as failures, and nothing comes of them', async () => {
    const mine = identity(alice);
    await upload(alice, mine.body);
    const keys = await withDevice(alice, newKey());
    const stranger = signJson(keys, alice.userId, newKey());
    const changed = signJson({ ...keys, algorithms: ['x'] }, alice.userId, mine.selfSigning);
    const failed = async (target: string, key: JsonObject) =>
      (await sign(alice, { [alice.userId]: { [target]: key } })).failures[alice.userId][target]
        .errcode;
    expect(await failed(alice.deviceId, stranger)).toBe('M_INVALID_SIGNATURE');
    expect(await failed(alice.deviceId, changed)).toBe('M_INVALID_PARAM');
    expect(await failed('NONE', stranger)).toBe('M_NOT_FOUND');
    const { device_keys: seen } = await query(alice, alice);
    expect(seen[alice.userId][alice.deviceId].signatures).toEqual({});
    const path = '/_matrix/client/v3/keys/signatures/upload';
    expect((await server.server.request('POST', path, { body: {} })).status).toBe(401);
  });
});
