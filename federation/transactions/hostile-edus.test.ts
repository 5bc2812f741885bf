import { ensureDevice } from '../../homeserver/storage/devices.ts';
import { createUpkeep } from '../../homeserver/upkeep/create-upkeep.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { DeviceId, EventId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { Guest } from '../testing/guest.ts';
import { until } from '../testing/memory-log.ts';
import type { RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

const phone = 'PHONE' as DeviceId;
const DAY_MS = 24 * 60 * 60_000;

describe('EDUs', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let roomId: RoomId;
  let guest: Guest;
  let people = 0;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
  });
  beforeEach(async () => {
    peer = await network.peer();
    alice = await here.user(`alice${people++}`);
    await here.core.database.transaction((tx) => ensureDevice(tx, alice, phone, undefined, 1));
    roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version: '11' });
    guest = await Guest.join(peer, here.name, roomId);
  });
  afterAll(() => network.close());

  const toDevice = (messageId: string, messages: JsonObject) => ({
    edu_type: 'm.direct_to_device',
    content: { sender: guest.userId, type: 'm.test', message_id: messageId, messages },
  });
  const waiting = async (): Promise<JsonObject[]> => {
    const { toDevice: all } = here.core.encryption;
    const { messages } = await all.waiting(alice, phone, 0, Number.MAX_SAFE_INTEGER);
    return messages.map(({ event }) => (JSON.parse(event) as { content: JsonObject }).content);
  };
  const count = async (query: string, values: readonly unknown[]): Promise<number> => {
    const { rows } = await here.core.database.query<{ count: number }>({
      text: `SELECT count(*)::int AS count FROM ${query}`,
      values: [...values],
    });
    return rows[0]?.count as number;
  };
  const put = (txnId: string, edus: JsonObject[]) =>
    peer.ask(here.name, 'PUT', `/_matrix/federation/v1/send/${txnId}`, {
      origin: peer.name,
      origin_server_ts: network.clock.nowMs(),
      pdus: [],
      edus,
    });

  it('that the database could not take are not said to have arrived', async () => {
    const { database } = here.core;
    await database.query({ text: 'ALTER TABLE to_device_messages RENAME TO out_of_reach' });
    const edu = toDevice('lost?', { [alice]: { [phone]: { key: 1 } } });
    const failed = await put('once', [edu]);
    await database.query({ text: 'ALTER TABLE out_of_reach RENAME TO to_device_messages' });
    expect(failed.status).toBeGreaterThanOrEqual(500);
    expect((await put('once', [edu])).status).toBe(200);
    expect((await put('once', [edu])).status).toBe(200);
    expect(await waiting()).toEqual([{ key: 1 }]);
  });

  it('to devices are bounded in size, and of no interest for people who are not here', async () => {
    const pad = (length: number) => ({ pad: 'x'.repeat(length) });
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`D${n}`, pad(40_000)]));
    const [ids, nobody] = ['to_device_message_ids WHERE source = $1', `@nobody:${here.name}`];
    await put('a', [toDevice('too much', { [alice]: many })]);
    await put('b', [toDevice('nobody', { [nobody]: { '*': {} }, '@x:elsewhere.test': { D: {} } })]);
    expect(await waiting()).toEqual([]);
    expect(await count(ids, [peer.name])).toBe(0);
    // What a server of another make sends at once: keys for 250 devices.
    const keys = Object.fromEntries(Array.from({ length: 249 }, (_, n) => [`D${n}`, pad(2_000)]));
    const theirs = { ...keys, [phone]: { key: 1 } };
    await put('c', [toDevice('keys', { [alice]: theirs, [nobody]: { '*': pad(70_000) } })]);
    await put('d', [toDevice('one too large', { [alice]: { [phone]: pad(70_000) } })]);
    expect(await waiting()).toEqual([{ key: 1 }]);
  });

  it('with receipts make no more rows than there are threads', async () => {
    const event = await here.say(alice, roomId, 'read me');
    const reply = await here.core.localEvents.send(roomId, {
      type: 'm.room.message',
      sender: alice,
      content: { body: 'a reply', 'm.relates_to': { rel_type: 'm.thread', event_id: event } },
    });
    const receipt = (eventId: EventId, data: JsonObject) => ({
      edu_type: 'm.receipt',
      content: { [roomId]: { 'm.read': { [guest.userId]: { event_ids: [eventId], data } } } },
    });
    const invented = Array.from({ length: 90 }, (_, n) => `$${String(n).padStart(43, 'a')}`);
    await guest.send(
      [],
      invented.map((threadId) => receipt(event, { ts: 1, thread_id: threadId })),
    );
    await guest.send(
      [],
      invented.map((id) => receipt(id as EventId, { ts: 1, thread_id: id })),
    );
    await guest.send(
      [],
      [
        receipt(event, { ts: 1 }),
        receipt(event, { ts: 1, thread_id: 'main' }),
        receipt(reply, { ts: 1, thread_id: event }),
      ],
    );
    const { rows } = await here.core.database.query({
      text: 'SELECT thread_id FROM receipts WHERE user_id = $1 ORDER BY thread_id',
      values: [guest.userId],
    });
    expect(rows.map(({ thread_id }) => thread_id)).toEqual(['', event, 'main'].sort());
  });

  describe('of device lists', () => {
    let answers: (() => JsonObject) | undefined;
    const keysOf = (deviceId: string, pad = 0): JsonObject => ({
      user_id: guest.userId,
      device_id: deviceId,
      algorithms: ['x'.repeat(pad)],
      keys: {},
      signatures: {},
    });
    const query = async () => {
      const wanted = new Map([[guest.userId, []]]);
      const { keyQueries } = here.core.encryption;
      const { device_keys: found } = await keyQueries.query(alice, wanted, 5_000);
      return Object.keys(found[guest.userId] ?? {});
    };
    const isStale = async () =>
      (await count('remote_device_lists WHERE stale AND user_id = $1', [guest.userId])) > 0;
    const update = (streamId: number, deviceId: string, prevId: number, pad = 0) => ({
      edu_type: 'm.device_list_update',
      content: {
        user_id: guest.userId,
        device_id: deviceId,
        stream_id: streamId,
        prev_id: [prevId],
        keys: keysOf(deviceId, pad),
      },
    });
    beforeEach(async () => {
      answers = () => ({
        user_id: guest.userId,
        stream_id: 1,
        devices: [{ device_id: 'A', keys: keysOf('A') }],
      });
      peer.on(/^GET \/_matrix\/federation\/v1\/user\/devices\//, () =>
        answers === undefined ? { status: 500, body: '{}' } : answers(),
      );
      expect(await query()).toEqual(['A']);
    });

    it('add no more devices than one person may have', async () => {
      answers = undefined;
      let streamId = 1;
      for (let n = 0; n < 11; n++) {
        const updates = Array.from({ length: 100 }, () => {
          streamId += 1;
          return update(streamId, `D${streamId}`, streamId - 1);
        });
        await guest.send([], updates);
      }
      const devices = 'remote_devices WHERE user_id = $1';
      expect(await count(devices, [guest.userId])).toBe(1000);
      expect(await isStale()).toBe(true);
    });

    it('add no more bytes either', async () => {
      answers = undefined;
      let streamId = 1;
      for (let n = 0; n < 2; n++) {
        const updates = Array.from({ length: 100 }, () => {
          streamId += 1;
          return update(streamId, `D${streamId}`, streamId - 1, 16_000);
        });
        await guest.send([], updates);
      }
      expect(await isStale()).toBe(true);
      const { rows } = await here.core.database.query<{ bytes: number }>({
        text: 'SELECT sum(octet_length(keys))::int AS bytes FROM remote_devices WHERE user_id = $1',
        values: [guest.userId],
      });
      expect(rows[0]?.bytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    });

    it('that left a gap are made good in the background, less and less often', async () => {
      const { remoteLists } = here.core.encryption;
      const asked = () => peer.received.filter(({ url }) => url.includes('user/devices')).length;
      answers = undefined;
      await guest.send([], [update(9, 'B', 8)]);
      await remoteLists.idle();
      expect(await isStale()).toBe(true);
      const tries: number[] = [];
      let before = asked();
      for (let minute = 1; minute <= 20; minute++) {
        network.clock.advance(61_000);
        here.federation.transport.health.succeeded(peer.name);
        await remoteLists.resync();
        if (asked() > before) tries.push(minute);
        before = asked();
      }
      expect(tries).toEqual([1, 2, 4, 8, 16]);
      answers = () => ({
        user_id: guest.userId,
        stream_id: 9,
        devices: ['A', 'B'].map((id) => ({ device_id: id, keys: keysOf(id) })),
      });
      network.clock.advance(DAY_MS);
      await remoteLists.resync();
      expect(await isStale()).toBe(false);
      before = asked();
      expect((await query()).sort()).toEqual(['A', 'B']);
      expect(asked()).toBe(before);
    });
  });

  it('that could not be read elsewhere are refused, and large ones cut', async () => {
    const { toDevice: messages } = here.core.encryption;
    const send = (content: JsonObject, to = guest.userId) =>
      messages.send(alice, phone, 'm.test', `t${people++}`, { [to]: { D: content } });
    for (const n of [1.5, 1e-7, 2 ** 63, -0]) {
      await expect(send({ n })).rejects.toMatchObject({ errcode: 'M_BAD_JSON', status: 400 });
      await expect(send({ deep: [{ n }] })).rejects.toMatchObject({ errcode: 'M_BAD_JSON' });
    }
    await send({ n: 1.5 }, alice);
    const devices = Object.fromEntries(
      Array.from({ length: 9 }, (_, n) => [`D${n}`, { pad: 'x'.repeat(20_000) }]),
    );
    await messages.send(alice, phone, 'm.test', 'cut', {
      [guest.userId]: devices,
      [peer.user('other')]: devices,
    });
    const sent = (): JsonObject[] =>
      peer.received
        .filter(({ url }) => url.includes('/v1/send/'))
        .flatMap(({ text }) => (JSON.parse(text) as { edus: JsonObject[] }).edus)
        .filter(({ edu_type }) => edu_type === 'm.direct_to_device');
    const all = () =>
      sent().flatMap((edu) => {
        const { messages } = edu['content'] as { messages: Record<string, JsonObject> };
        return Object.entries(messages).flatMap(([userId, theirs]) =>
          Object.keys(theirs).map((deviceId) => `${userId} ${deviceId}`),
        );
      });
    await until(() => all().length === 18);
    expect(new Set(all()).size).toBe(18);
    for (const edu of sent()) expect(JSON.stringify(edu).length).toBeLessThan(66_000);
    const ids = sent().map((edu) => (edu['content'] as JsonObject)['message_id']);
    expect(new Set(ids).size).toBe(sent().length);
  });

  it('for a server that does not come back are let go of', async () => {
    const { toDevice: messages } = here.core.encryption;
    const upkeep = createUpkeep({ ...here.core, clock: network.clock });
    const dead = '127.0.0.1:1' as ServerName;
    const send = (n: number) =>
      messages.send(alice, phone, 'm.test', `dead ${n}`, { [`@x:${dead}`]: { D: { n } } });
    const kept = () => count('outbound_edu_destinations WHERE destination = $1', [dead]);
    const { health } = here.federation.transport;
    await send(1);
    await until(() => health.isFailing(dead));
    await here.federation.sender.save();
    await until(async () => (await count('destinations WHERE failure_count > 0', [])) > 0);
    network.clock.advance(29 * DAY_MS);
    await upkeep.runDue();
    expect(await kept()).toBe(1);
    network.clock.advance(2 * DAY_MS);
    await upkeep.runDue();
    expect(await kept()).toBe(0);
    // The EDU itself goes once the sender has noted how far it has come.
    await until(async () => {
      await here.federation.sender.save();
      await createUpkeep({ ...here.core, clock: network.clock }).runDue();
      return (await count('outbound_edus WHERE content LIKE $1', [`%@x:${dead}%`])) === 0;
    });
  });
});
