import { KeyDirectory } from '../../homeserver/encryption/key-directory.ts';
import { ensureDevice } from '../../homeserver/storage/devices.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { DeviceId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { Guest } from '../testing/guest.ts';
import { until } from '../testing/memory-log.ts';
import type { RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

let network: TestNetwork;
let here: NetworkServer;
let peer: RoomPeer;
let alice: UserId;
let roomId: RoomId;
let guest: Guest;
let people = 0;
const phone = 'PHONE' as DeviceId;

beforeAll(async () => {
  network = await TestNetwork.open();
  here = await network.server();
});
beforeEach(async () => {
  peer = await network.peer();
  alice = await here.user(`alice${people++}`);
  await addDevice(here, alice, phone);
  roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version: '11' });
  guest = await Guest.join(peer, here.name, roomId);
});
afterAll(() => network.close());

const addDevice = async ({ core }: NetworkServer, userId: UserId, deviceId: DeviceId) => {
  await core.database.transaction(async (tx) => {
    await ensureDevice(tx, userId, deviceId, undefined, 1);
    await core.encryption.deviceListener.deviceCreated(tx, userId, deviceId);
  });
  await core.encryption.deviceLists.idle();
};

const keysOf = (userId: UserId, deviceId: string, key = 'key'): JsonObject => ({
  user_id: userId,
  device_id: deviceId,
  algorithms: [],
  keys: { [`ed25519:${deviceId}`]: key },
  signatures: {},
});

const uploadKeys = ({ core }: NetworkServer, userId: UserId, key = 'key') =>
  core.encryption.deviceKeys.upload(userId, phone, { deviceKeys: keysOf(userId, phone, key) });

const query = async ({ core }: NetworkServer, viewer: UserId, whose: UserId) => {
  const answer = await core.encryption.keyQueries.query(viewer, new Map([[whose, []]]), 5000);
  return { devices: answer.device_keys[whose], failures: answer.failures };
};

/** EDUs of a type that the peer has been sent. */
const sentEdus = (type: string): JsonObject[] =>
  peer.received
    .filter(({ method }) => method === 'PUT')
    .flatMap(({ text }) => (JSON.parse(text) as { edus?: JsonObject[] }).edus ?? [])
    .filter(({ edu_type: eduType }) => eduType === type)
    .map(({ content }) => content as JsonObject);

const changedFor = async (after: number): Promise<readonly UserId[]> => {
  const { log, encryption } = here.core;
  return (await encryption.deviceLists.newsFor(alice, after, log.position)).changed;
};

const waiting = async (server: NetworkServer, userId: UserId) =>
  (await server.core.encryption.toDevice.waiting(userId, phone, 0, Number.MAX_SAFE_INTEGER))
    .messages;

describe('what other servers are told', () => {
  it('each change of a device, in a chain', async () => {
    await uploadKeys(here, alice, 'one');
    await uploadKeys(here, alice, 'two');
    await until(() => sentEdus('m.device_list_update').length >= 2);
    const [first, second] = sentEdus('m.device_list_update').slice(-2);
    expect(first).toMatchObject({ user_id: alice, device_id: phone });
    expect(second).toMatchObject({
      device_id: phone,
      prev_id: [first?.['stream_id']],
      keys: keysOf(alice, phone, 'two'),
    });
    const path = `/_matrix/federation/v1/user/devices/${encodeURIComponent(alice)}`;
    expect((await peer.ask(here.name, 'GET', path)).body).toEqual({
      user_id: alice,
      stream_id: second?.['stream_id'],
      devices: [{ device_id: phone, keys: keysOf(alice, phone, 'two') }],
    });
  });

  it('which devices there are when somebody comes to a room of theirs', async () => {
    const bob = await here.user(`bob${people++}`);
    await addDevice(here, bob, phone);
    await uploadKeys(here, bob);
    const { body } = await peer.ask(
      here.name,
      'GET',
      `/_matrix/federation/v1/user/devices/${encodeURIComponent(bob)}`,
    );
    await here.rooms.membership.join(bob, roomId);
    const ofBob = () => sentEdus('m.device_list_update').filter((edu) => edu['user_id'] === bob);
    await until(() => ofBob().length > 0);
    expect(ofBob()).toEqual([
      {
        user_id: bob,
        device_id: phone,
        stream_id: body.stream_id,
        prev_id: [],
        keys: keysOf(bob, phone),
      },
    ]);
  });

  it('keys and one-time keys when they ask, of users here only', async () => {
    await uploadKeys(here, alice);
    const oneTimeKeys = { 'signed_curve25519:1': { key: 'a', signatures: {} } };
    await here.core.encryption.deviceKeys.upload(alice, phone, { oneTimeKeys });
    const ask = (what: string, body: JsonObject) =>
      peer.ask(here.name, 'POST', `/_matrix/federation/v1/user/keys/${what}`, body);
    const { body } = await ask('query', { device_keys: { [alice]: [] } });
    expect(body.device_keys[alice][phone]).toMatchObject(keysOf(alice, phone));
    const claims = { one_time_keys: { [alice]: { [phone]: 'signed_curve25519' } } };
    expect((await ask('claim', claims)).body.one_time_keys[alice][phone]).toEqual(oneTimeKeys);
    expect((await ask('claim', claims)).body.one_time_keys).toEqual({});
    const other = { device_keys: { '@x:elsewhere.test': [] } };
    expect((await ask('query', other)).body.errcode).toBe('M_INVALID_PARAM');
    const none = encodeURIComponent(`@none:${here.name}`);
    const devices = await peer.ask(here.name, 'GET', `/_matrix/federation/v1/user/devices/${none}`);
    expect(devices.status).toBe(404);
  });

  it('what devices are called only where the operator says so', async () => {
    const { core } = here;
    await uploadKeys(here, alice);
    await core.database.query({
      text: `UPDATE devices SET display_name = 'my phone' WHERE user_id = $1`,
      values: [alice],
    });
    const path = `/_matrix/federation/v1/user/devices/${encodeURIComponent(alice)}`;
    const { body } = await peer.ask(here.name, 'GET', path);
    expect(body.devices).toMatchObject([{ device_id: phone }]);
    expect(JSON.stringify(body)).not.toContain('my phone');
    const before = sentEdus('m.device_list_update').length;
    await uploadKeys(here, alice, 'another key');
    await until(() => sentEdus('m.device_list_update').length > before);
    expect(JSON.stringify(peer.received)).not.toContain('my phone');
    const told = new KeyDirectory(core.database, { showsNames: true });
    expect((await told.deviceListOf(alice))?.devices).toMatchObject([
      { device_display_name: 'my phone' },
    ]);
  });

  it('messages for their devices, which a failing server gets later', async () => {
    let isUp = false;
    peer.on(/^PUT \/_matrix\/federation\/v1\/send\//, () =>
      isUp ? { pdus: {} } : { status: 500, body: '{}' },
    );
    const messages = { [guest.userId]: { THEIRS: { secret: 1 } } };
    await here.core.encryption.toDevice.send(alice, phone, 'm.test', 't1', messages);
    await until(() => sentEdus('m.direct_to_device').length > 0);
    // The peer has it before this server knows of the failure, and when to try again.
    await until(() => here.federation.transport.health.isFailing(peer.name as ServerName));
    isUp = true;
    const before = peer.received.length;
    network.clock.advance(60_000);
    here.federation.sender.sendEphemeral([peer.name as ServerName], {
      canonicalJson: '{"content":{},"edu_type":"test"}',
      key: 'wake',
      keepWhenDown: true,
    });
    await until(() => peer.received.length > before);
    expect(sentEdus('m.direct_to_device').at(-1)).toMatchObject({
      sender: alice,
      type: 'm.test',
      messages,
    });
  });
});

describe('what other servers tell', () => {
  const answerDevices = (streamId: number, ...devices: string[]) => {
    let asked = 0;
    peer.on(/^GET \/_matrix\/federation\/v1\/user\/devices\//, () => {
      asked += 1;
      return {
        user_id: guest.userId,
        stream_id: streamId,
        devices: devices.map((id) => ({ device_id: id, keys: keysOf(guest.userId, id) })),
      };
    });
    return () => asked;
  };
  const update = (content: JsonObject) =>
    guest.send(
      [],
      [{ edu_type: 'm.device_list_update', content: { user_id: guest.userId, ...content } }],
    );

  it('is fetched when it is asked for, and followed from then on', async () => {
    const asked = answerDevices(5, 'A');
    expect(Object.keys((await query(here, alice, guest.userId)).devices ?? {})).toEqual(['A']);
    const after = here.core.log.position;
    await update({
      device_id: 'B',
      stream_id: 6,
      prev_id: [5],
      device_display_name: 'tablet',
      keys: keysOf(guest.userId, 'B'),
    });
    await until(async () => (await changedFor(after)).includes(guest.userId));
    const { devices } = await query(here, alice, guest.userId);
    expect(devices?.['B']).toMatchObject({ unsigned: { device_display_name: 'tablet' } });
    await update({ device_id: 'A', stream_id: 7, prev_id: [6], deleted: true });
    await until(async () => (await query(here, alice, guest.userId)).devices?.['A'] === undefined);
    expect(asked()).toBe(1);
  });

  it('is fetched again where something was missed', async () => {
    answerDevices(5, 'A');
    await query(here, alice, guest.userId);
    const asked = answerDevices(9, 'A', 'C');
    await update({ device_id: 'C', stream_id: 9, prev_id: [8] });
    await until(() => asked() === 1);
    await here.core.encryption.remoteLists.idle();
    const { devices } = await query(here, alice, guest.userId);
    expect(Object.keys(devices ?? {}).sort()).toEqual(['A', 'C']);
    expect(asked()).toBe(1);
  });

  it('is a failure while the server gives no answer', async () => {
    peer.on(/^GET \/_matrix\/federation\/v1\/user\/devices\//, () => ({
      status: 500,
      body: '{}',
    }));
    const { devices, failures } = await query(here, alice, guest.userId);
    expect(devices).toBeUndefined();
    expect(Object.keys(failures)).toEqual([peer.name]);
  });

  it('messages for devices here, once each, of their own users only', async () => {
    const message = (sender: string, messageId: string) => ({
      edu_type: 'm.direct_to_device',
      content: {
        sender,
        type: 'm.test',
        message_id: messageId,
        messages: { [alice]: { '*': { from: sender } } },
      },
    });
    const mine = message(guest.userId, 'one');
    await guest.send([], [mine, mine, message('@x:elsewhere.test', 'two')]);
    await guest.send([], [mine]);
    await until(async () => (await waiting(here, alice)).length > 0);
    expect((await waiting(here, alice)).map(({ event }) => JSON.parse(event))).toEqual([
      { type: 'm.test', sender: guest.userId, content: { from: guest.userId } },
    ]);
  });
});

it('two of our servers exchange keys and messages', async () => {
  const there = await network.server();
  const bob = await there.user('bob');
  await addDevice(there, bob, phone);
  await there.rooms.membership.join(bob, roomId, { via: [here.name] });
  await uploadKeys(here, alice);
  await until(async () => {
    const { devices } = await query(there, bob, alice);
    return devices?.[phone] !== undefined;
  });
  const oneTimeKeys = { 'signed_curve25519:1': { key: 'a', signatures: {} } };
  await here.core.encryption.deviceKeys.upload(alice, phone, { oneTimeKeys });
  const claims = [{ userId: alice, deviceId: phone, algorithm: 'signed_curve25519' }];
  const claimed = await there.core.encryption.keyQueries.claim(bob, claims, 5000);
  expect(claimed.one_time_keys[alice]?.[phone]).toEqual(oneTimeKeys);
  const messages = { [alice]: { [phone]: { hello: 'alice' } } };
  await there.core.encryption.toDevice.send(bob, phone, 'm.test', 'x', messages);
  await until(async () => (await waiting(here, alice)).length === 1);
});
