import type { JsonObject, Pdu } from '../spec/event.ts';
import type { EventId, RoomId, UserId } from '../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../spec/room-versions.ts';
import { POLICY_SERVER_KEY_ID, signatureOf, signEvent } from '../spec/signing.ts';
import { Guest } from './testing/guest.ts';
import { inGuestScene } from './testing/guest-scene.ts';
import { until } from './testing/memory-log.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import type { NetworkServer, TestNetwork } from './testing/test-network.ts';
import { newKey, type PeerAnswer } from './testing/test-peer.ts';

const rules = rulesOf('11') as RoomVersionRules;
const policyKey = newKey('policy_server');
const policyType = 'm.room.policy';
const asksToSign = /^POST \/_matrix\/policy\/v1\/sign$/;

describe('a room with a policy server', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let roomId: RoomId;
  let guest: Guest;

  inGuestScene((scene) => {
    ({ network, here, peer, alice, roomId, guest } = scene);
  });
  beforeEach(() => setPolicy());

  const setPolicy = async (content?: JsonObject): Promise<void> => {
    await here.core.localEvents.send(roomId, {
      type: policyType,
      stateKey: '',
      sender: alice,
      content: content ?? { via: peer.name, public_keys: { ed25519: policyKey.publicKey } },
    });
  };
  const signed = (pdu: JsonObject, key = policyKey): JsonObject =>
    signEvent(pdu as unknown as Pdu, rules, peer.name, key) as never;
  const signatureIn = (pdu: JsonObject, key = policyKey): JsonObject => ({
    [peer.name]: {
      [POLICY_SERVER_KEY_ID]: signatureOf(signed(pdu, key), peer.name, POLICY_SERVER_KEY_ID),
    },
  });
  const answer = (answerTo: (pdu: JsonObject) => PeerAnswer | Promise<PeerAnswer>): void =>
    peer.on(asksToSign, ({ text }) => answerTo(JSON.parse(text) as JsonObject));
  const refuse = (status: number, body: JsonObject): void =>
    answer(() => ({ status, body: JSON.stringify(body) }));
  const asked = (): JsonObject[] =>
    peer.received
      .filter(({ method, url }) => asksToSign.test(`${method} ${url}`))
      .map(({ text }) => JSON.parse(text) as JsonObject);
  const texts = (): Promise<string[]> => here.messages(alice, roomId);
  const stored = async (id: EventId) => {
    await until(async () => (await here.core.events.byId(id))?.snapshotAfter !== undefined);
    return here.core.events.byId(id);
  };
  const policySignatureOf = async (id: EventId): Promise<string | undefined> =>
    signatureOf((await stored(id))?.event.pdu as never, peer.name, POLICY_SERVER_KEY_ID);
  const sentToPeer = (): JsonObject[] =>
    peer.received
      .filter(({ url }) => url.includes('/send/'))
      .flatMap(({ text }) => (JSON.parse(text) as { pdus: JsonObject[] }).pdus);

  describe('when people here send', () => {
    it('has its signature on every event before anyone sees it', async () => {
      answer((pdu) => signatureIn(pdu));
      const id = await here.say(alice, roomId, 'hello');
      expect(asked()).toHaveLength(1);
      expect(asked()[0]).toMatchObject({ type: 'm.room.message', sender: alice });
      expect(await policySignatureOf(id)).toBeDefined();
      expect(await texts()).toEqual(['hello']);
      await until(() =>
        sentToPeer().some(({ content }) => (content as JsonObject)['body'] === 'hello'),
      );
      const sent = sentToPeer().find(({ type }) => type === 'm.room.message') as JsonObject;
      expect(sent['signatures']).toMatchObject(signatureIn(sent));
      expect(sent['signatures']).toHaveProperty([here.name]);
    });

    it('has it on memberships, on other state and on invites to other servers', async () => {
      answer((pdu) => signatureIn(pdu));
      const bob = await here.user(`bob-${peer.peer.port}`);
      const membership = here.rooms.membership;
      await membership.join(bob, roomId);
      await here.core.localEvents.send(roomId, {
        type: 'm.room.name',
        stateKey: '',
        sender: alice,
        content: { name: 'Moderated' },
      });
      await membership.leave(bob, roomId);
      const friend = await network.peer();
      friend.on(/^PUT \/_matrix\/federation\/v2\/invite\//, ({ text }) => ({
        event: friend.sign((JSON.parse(text) as { event: JsonObject }).event, '11'),
      }));
      await here.rooms.invites.send(alice, roomId, friend.user('friend'));
      expect(asked().map(({ type }) => type)).toEqual([
        'm.room.member',
        'm.room.name',
        'm.room.member',
        'm.room.member',
      ]);
      const room = await here.core.registry.find(roomId);
      for (const user of [bob, friend.user('friend')]) {
        const id = room?.stateRef('m.room.member', user)?.eventId as EventId;
        expect(await policySignatureOf(id)).toBeDefined();
      }
    });

    it('tells them what the policy server says, and sends nothing', async () => {
      refuse(400, { errcode: 'M_FORBIDDEN', error: 'This looks like spam' });
      await expect(here.say(alice, roomId, 'spam')).rejects.toMatchObject({
        errcode: 'M_FORBIDDEN',
        status: 400,
        message: 'This looks like spam',
      });
      refuse(429, { errcode: 'M_LIMIT_EXCEEDED', error: 'Slowly', retry_after_ms: 5 });
      await expect(here.say(alice, roomId, 'spam')).rejects.toMatchObject({
        errcode: 'M_LIMIT_EXCEEDED',
        status: 429,
        fields: { retry_after_ms: 5 },
      });
      expect(await texts()).toEqual([]);
    });

    it('does not let the policy server log them out', async () => {
      refuse(401, { errcode: 'M_UNKNOWN_TOKEN', error: 'Bye', soft_logout: true });
      await expect(here.say(alice, roomId, 'hello')).rejects.toMatchObject({
        errcode: 'M_FORBIDDEN',
        status: 403,
        fields: {},
      });
    });

    it.each([
      [
        'a signature of another key',
        (pdu: JsonObject) => signatureIn(pdu, newKey('policy_server')),
      ],
      ['a signature of something else', (pdu: JsonObject) => signatureIn({ ...pdu, depth: 77 })],
      ['nothing', () => ({})],
      ['nonsense', () => ({ [POLICY_SERVER_KEY_ID]: [null] })],
    ])('takes %s for a refusal', async (_, answerTo) => {
      answer(answerTo);
      await expect(here.say(alice, roomId, 'x')).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
      expect(await texts()).toEqual([]);
    });

    it('is no policy server any more once the room says so, whether it answers or not', async () => {
      refuse(502, {});
      await expect(here.say(alice, roomId, 'x')).rejects.toMatchObject({ status: 502 });
      const before = asked().length;
      await setPolicy({});
      await here.say(alice, roomId, 'free');
      expect(asked()).toHaveLength(before);
      expect(await texts()).toEqual(['free']);
    });

    it('needs a server with someone in the room, and a key', async () => {
      const key = { ed25519: policyKey.publicKey };
      for (const content of [
        { via: 'elsewhere.test', public_keys: key },
        { via: 'no server name', public_keys: key },
        { via: [peer.name], public_keys: key },
        { via: peer.name },
        { via: peer.name, public_keys: [policyKey.publicKey] },
        { via: peer.name, public_keys: { other: policyKey.publicKey } },
      ] as JsonObject[]) {
        await setPolicy(content);
        await here.say(alice, roomId, 'heard');
      }
      expect(asked()).toEqual([]);
      expect(await texts()).toHaveLength(6);
    });

    it('lets others write while it waits, and checks again before it sends', async () => {
      const asking: (() => void)[] = [];
      answer((pdu) => new Promise((resolve) => asking.push(() => resolve(signatureIn(pdu)))));
      const bob = await here.user(`late-${peer.peer.port}`);
      const joining = here.rooms.membership.join(bob, roomId);
      await until(() => asking.length === 1);
      await setPolicy({});
      await here.core.localEvents.send(roomId, {
        type: 'm.room.member',
        stateKey: bob,
        sender: alice,
        content: { membership: 'ban' },
      });
      asking[0]?.();
      await expect(joining).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
      expect(await here.membership(bob, roomId)).toBe('ban');
    });
  });

  describe('when events come from other servers', () => {
    it('asks nobody about those it has signed', async () => {
      const event = guest.message('signed');
      await guest.send([signed(event.pdu)]);
      expect(await texts()).toEqual(['signed']);
      expect(asked()).toEqual([]);
    });

    it('is asked about others, which are then kept with its signature', async () => {
      answer((pdu) => signatureIn(pdu));
      const events = [guest.message('one'), guest.message('two')];
      const { body } = await guest.send(events);
      expect(body.pdus).toEqual(Object.fromEntries(events.map(({ id }) => [id, {}])));
      for (const { id } of events) expect(await policySignatureOf(id)).toBeDefined();
      await until(async () => (await texts()).length === 2);
      expect(await texts()).toEqual(['one', 'two']);
    });

    it.each([
      ['refuses', () => ({ status: 400, body: '{"errcode":"M_FORBIDDEN"}' })],
      ['does not serve', () => ({ status: 503, body: '' })],
      ['signs wrongly', () => ({ [peer.name]: { [POLICY_SERVER_KEY_ID]: 'AAAA' } })],
    ])('keeps from people what it %s', async (_, answerTo) => {
      answer(answerTo as () => PeerAnswer);
      const event = guest.message('spam');
      await guest.send([event]);
      expect(await stored(event.id)).toMatchObject({ softFailed: true, rejectedReason: undefined });
      expect(await texts()).toEqual([]);
      const room = await here.core.registry.find(roomId);
      expect(room?.extremities.map(({ event: { eventId } }) => eventId)).not.toContain(event.id);
    });

    it('holds up neither the room’s writer nor what comes for other rooms', async () => {
      const asking: (() => void)[] = [];
      answer((pdu) => new Promise((resolve) => asking.push(() => resolve(signatureIn(pdu)))));
      const otherRoom = await here.rooms.roomCreator.create(alice, {
        preset: 'public_chat',
        version: '11',
      });
      const otherGuest = await Guest.join(peer, here.name, otherRoom);
      const event = guest.message('slow');
      await guest.send([event, otherGuest.message('quick')]);
      expect(await here.messages(alice, otherRoom)).toEqual(['quick']);
      await until(() => asking.length === 1);
      const room = await here.core.registry.find(roomId);
      expect(await room?.exclusive(async () => 'free')).toBe('free');
      expect(await texts()).toEqual([]);
      asking[0]?.();
      await until(async () => (await texts()).includes('slow'));
    });

    it('lets in nobody whom it does not recommend', async () => {
      refuse(400, { errcode: 'M_FORBIDDEN', error: 'No' });
      const other = await network.peer();
      await expect(Guest.join(other, here.name, roomId)).rejects.toThrow('M_FORBIDDEN');
      answer((pdu) => signatureIn(pdu));
      const user = other.user('second');
      await Guest.join(other, here.name, roomId, user);
      expect(await here.membership(user, roomId)).toBe('join');
    });

    it('cannot send with the key that only recommends', async () => {
      const event = guest.message('forged');
      const { signatures: _, ...unsigned } = event.pdu;
      const { body } = await guest.send([signed(unsigned)]);
      expect(body.pdus[event.id].error).toMatch(/no signature/i);
    });

    it('is not asked about the choice of another policy server', async () => {
      await setPolicy({});
      await here.core.localEvents.send(roomId, {
        type: 'm.room.power_levels',
        stateKey: '',
        sender: alice,
        content: { users: { [alice]: 100, [guest.userId]: 100 } },
      });
      await setPolicy();
      const room = await here.core.registry.find(roomId);
      const levels = room?.stateRef('m.room.power_levels', '');
      const event = await here.core.events.byId(levels?.eventId as EventId);
      guest.state.set(`m.room.power_levels\u0000` as never, event?.event as never);
      const head = room?.extremities[0]?.event;
      const change = guest.make({
        type: policyType,
        stateKey: '',
        content: {},
        prev: [head?.eventId as EventId],
        depth: (head?.depth ?? 0) + 1,
      });
      await guest.send([change]);
      expect(asked()).toEqual([]);
      expect(room?.stateRef(policyType, '')?.eventId).toBe(change.id);
    });
  });
});
