import type { JsonObject } from '../../spec/event.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { Guest } from '../testing/guest.ts';
import { inGuestScene } from '../testing/guest-scene.ts';
import { until } from '../testing/memory-log.ts';
import type { RoomPeer } from '../testing/room-peer.ts';
import type { NetworkServer, TestNetwork } from '../testing/test-network.ts';
import type { PeerAnswer } from '../testing/test-peer.ts';

describe('transactions of other servers', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let roomId: RoomId;
  let guest: Guest;

  inGuestScene((scene) => {
    ({ network, here, peer, alice, roomId, guest } = scene);
  });

  const texts = (): Promise<string[]> => here.messages(alice, roomId);

  it('bring events, each with its result', async () => {
    const [first, second] = [guest.message('one'), guest.message('two')];
    const { status, body } = await guest.send([first, second]);
    expect([status, body]).toEqual([200, { pdus: { [first.id]: {}, [second.id]: {} } }]);
    expect(await texts()).toEqual(['one', 'two']);
  });

  it('are answered the same when they are repeated, and done once', async () => {
    let count = 0;
    here.federation.edus.on(`test.count.${peer.name}`, () => {
      count += 1;
    });
    const event = guest.message('once');
    const send = () =>
      guest.send([event], [{ edu_type: `test.count.${peer.name}`, content: {} }], 'same');
    const [first, together] = await Promise.all([send(), send()]);
    const later = await send();
    expect([together.body, later.body]).toEqual([first.body, first.body]);
    expect(count).toBe(1);
    expect(await texts()).toEqual(['once']);
    // Under another id the event is known all the same.
    expect((await guest.send([event])).body.pdus).toEqual({ [event.id]: {} });
    expect(await texts()).toEqual(['once']);
  });

  it('lose single events that are no good, and say which where they can', async () => {
    const good = guest.message('good');
    const forged = { ...guest.message('bad').pdu, origin_server_ts: 1 };
    const elsewhere = { ...good.pdu, room_id: '!unknown:elsewhere.test' };
    const { status, body } = await guest.send([
      forged,
      { type: 'm.room.message' },
      elsewhere,
      { ...good.pdu, depth: -5 },
      good,
    ]);
    expect(status).toBe(200);
    expect(body.pdus[good.id]).toEqual({});
    const others = Object.entries(body.pdus).filter(([id]) => id !== good.id);
    expect(others).toEqual([[expect.any(String), { error: expect.stringMatching(/wrong/) }]]);
    expect(await texts()).toEqual(['good']);
  });

  it('bring redacted what does not have its hash', async () => {
    const { id, pdu } = guest.message('as signed');
    const { body } = await guest.send([{ ...pdu, content: { body: 'forged' } }]);
    expect(body.pdus).toEqual({ [id]: {} });
    expect((await here.core.events.byId(id))?.event.content).toEqual({});
  });

  it('cannot speak for another server', async () => {
    const event = guest.make({
      type: 'm.room.message',
      sender: alice,
      content: { body: 'I am Alice' },
    });
    const { body } = await guest.send([event]);
    expect(body.pdus[event.id].error).toMatch(/no signature/i);
    const stolen = await peer.ask(here.name, 'PUT', '/_matrix/federation/v1/send/x', {
      origin: here.name,
      pdus: [],
    });
    expect(stolen.status).toBe(403);
  });

  it('keep what is not allowed from people', async () => {
    const event = guest.make({
      type: 'm.room.power_levels',
      stateKey: '',
      content: { users: { [guest.userId]: 100 } },
    });
    const after = guest.message('after');
    await guest.send([event, after]);
    expect((await here.core.events.byId(event.id))?.rejectedReason).toBeDefined();
    expect(await texts()).toEqual(['after']);
  });

  it('are bounded', async () => {
    const many = Array.from({ length: 51 }, (_, index) => guest.message(`${index}`));
    expect((await guest.send(many)).status).toBe(400);
    const edus = Array.from({ length: 101 }, () => ({ edu_type: 'm.typing', content: {} }));
    expect((await guest.send([], edus)).status).toBe(400);
    expect((await guest.send([], [null as never, { edu_type: 5 } as never])).status).toBe(200);
  });

  it('bring nothing into rooms that deny the server', async () => {
    await here.core.localEvents.send(roomId, {
      type: 'm.room.server_acl',
      stateKey: '',
      sender: alice,
      content: { allow: ['*'], deny: ['127.0.0.1'] },
    });
    const event = guest.message('denied');
    const { status, body } = await guest.send([event]);
    expect(status).toBe(200);
    expect(body.pdus[event.id].error).toMatch(/not allowed/);
    expect(await texts()).toEqual([]);
  });

  describe('with events whose past is not here', () => {
    const holdBack = (): { release: () => void } => {
      let release: (answer: PeerAnswer) => void = () => undefined;
      const held = new Promise<PeerAnswer>((resolve) => {
        release = resolve;
      });
      peer.on(/get_missing_events/, () => held);
      return { release: () => release({ status: 404, body: '{}' }) };
    };

    it('are answered at once, and the past is fetched', async () => {
      guest.tellMissing();
      guest.message('missing 1');
      guest.message('missing 2');
      const event = guest.message('newest');
      const { body } = await guest.send([event]);
      expect(body.pdus).toEqual({ [event.id]: {} });
      await until(async () => (await texts()).includes('newest'));
      expect(await texts()).toEqual(['missing 1', 'missing 2', 'newest']);
      await until(() => !here.federation.queue.isWaiting(roomId));
    });

    it('hold up no other room', async () => {
      const { release } = holdBack();
      guest.message('missing');
      const stuck = guest.message('stuck');
      const other = await here.rooms.roomCreator.create(alice, {
        preset: 'public_chat',
        version: '11',
      });
      const elsewhere = await Guest.join(peer, here.name, other);
      const free = elsewhere.message('free');
      const { body } = await guest.send([stuck, free]);
      expect(body.pdus).toEqual({ [stuck.id]: {}, [free.id]: {} });
      expect(await here.messages(alice, other)).toEqual(['free']);
      expect(here.federation.queue.isWaiting(roomId)).toBe(true);
      await here.say(alice, roomId, 'meanwhile');
      expect(await texts()).toEqual(['meanwhile']);
      release();
    });

    it('survive a restart', async () => {
      holdBack();
      guest.message('missing');
      const event = guest.message('patient');
      await guest.send([event]);
      expect(here.federation.queue.isWaiting(roomId)).toBe(true);
      await here.stop();
      guest.tellMissing();
      await here.start();
      await until(async () => (await texts()).includes('patient'));
      expect(await texts()).toEqual(['missing', 'patient']);
    });

    it('keep the order in which events came', async () => {
      const { release } = holdBack();
      guest.message('missing');
      const first = guest.message('first');
      await guest.send([first]);
      const second = guest.message('second');
      await guest.send([second]);
      expect(await texts()).toEqual([]);
      guest.tellMissing();
      release();
      network.clock.advance(60_000);
      await until(async () => (await texts()).includes('second'));
      expect(await texts()).toEqual(['missing', 'first', 'second']);
    });

    it('are sent back when too many of them wait', async () => {
      const { database } = here.core;
      // As if they were to be tried again later.
      await database.query({
        text: `INSERT INTO inbound_pdus
            (room_id, event_id, origin, received_at_ms, attempts, retry_at_ms, json)
          SELECT $1, '$waiting-' || n, $2, 0, 1, $3, '{}' FROM generate_series(1, 5001) AS n`,
        values: [roomId, peer.name, network.clock.nowMs() + 3_600_000],
      });
      await here.stop();
      await here.start();
      expect(here.federation.queue.backlogOf(peer.name)).toBe(5001);
      const { status, body } = await guest.send([guest.message('one more')]);
      expect([status, body.errcode]).toEqual([429, 'M_LIMIT_EXCEEDED']);
      // Others are not affected.
      const other = await Guest.join(await network.peer(), here.name, roomId);
      expect((await other.send([other.message('from elsewhere')])).status).toBe(200);
      await database.query({
        text: 'DELETE FROM inbound_pdus WHERE room_id = $1',
        values: [roomId],
      });
    });

    it('give up in the end', async () => {
      peer.on(/./, () => ({ status: 404, body: '{"errcode":"M_NOT_FOUND"}' }));
      const nowhere = `$${'n'.repeat(43)}` as EventId;
      const event = guest.message('orphan', { prev: [nowhere] });
      await guest.send([event]);
      for (let attempt = 0; attempt < 4; attempt += 1) {
        const asked = () => peer.received.length;
        const before = asked();
        if (!here.federation.queue.isWaiting(roomId)) break;
        network.clock.advance(200_000);
        await guest.send([guest.message(`wakes ${attempt}`, { prev: [nowhere] })]);
        await until(() => asked() > before || !here.federation.queue.isWaiting(roomId));
      }
      expect(await here.core.events.byId(event.id)).toBeUndefined();
      expect(await texts()).toEqual([]);
    });
  });

  describe('with EDUs', () => {
    const typing = (fields: JsonObject = {}): JsonObject => ({
      edu_type: 'm.typing',
      content: { room_id: roomId, user_id: guest.userId, typing: true, ...fields },
    });
    const receipt = (user: UserId, eventId: EventId, data: JsonObject = { ts: 5 }): JsonObject => ({
      edu_type: 'm.receipt',
      content: { [roomId]: { 'm.read': { [user]: { event_ids: [eventId], data } } } },
    });
    const typingNow = async (): Promise<UserId[]> => {
      const room = await here.core.registry.find(roomId);
      return here.core.typing.usersIn(room?.nid as number);
    };
    const receipts = async () => {
      const room = await here.core.registry.find(roomId);
      const found = await here.core.receipts.of([room?.nid as number]);
      return [...found.values()].flat().map(({ userId, eventId }) => [userId, eventId]);
    };

    it('show who types', async () => {
      await guest.send([], [typing()]);
      expect(await typingNow()).toEqual([guest.userId]);
      await guest.send([], [typing({ typing: false })]);
      expect(await typingNow()).toEqual([]);
    });

    it('show who has read what', async () => {
      const event = await here.say(alice, roomId, 'read me');
      await guest.send([], [receipt(guest.userId, event)]);
      expect(await receipts()).toEqual([[guest.userId, event]]);
    });

    it('show who is online', async () => {
      const push = [{ user_id: guest.userId, presence: 'online', last_active_ago: 10 }];
      await guest.send([], [{ edu_type: 'm.presence', content: { push } }]);
      expect(here.core.presence.of(guest.userId)).toMatchObject({
        presence: 'online',
        lastActiveMs: network.clock.nowMs() - 10,
      });
    });

    it('are believed only of the server’s own users in the room', async () => {
      const event = await here.say(alice, roomId, 'read me');
      const outsider = peer.user('outsider');
      const push = [{ user_id: alice, presence: 'online', last_active_ago: 0 }];
      await guest.send(
        [],
        [
          typing({ user_id: alice }),
          typing({ user_id: outsider }),
          typing({ room_id: '!unknown:elsewhere.test' }),
          typing({ typing: 'yes' }),
          receipt(alice, event),
          receipt(outsider, event),
          receipt(guest.userId, event, {}),
          receipt(guest.userId, 'nonsense' as EventId),
          { edu_type: 'm.presence', content: { push } },
          { edu_type: 'm.presence', content: { push: 'x' } },
          { edu_type: 'm.receipt', content: { [roomId]: [], x: null } },
          { edu_type: 'some.other', content: {} },
        ],
      );
      expect(await typingNow()).toEqual([]);
      expect(await receipts()).toEqual([]);
      expect(here.core.presence.of(alice)?.presence).not.toBe('online');
    });

    it('are ignored from servers that the room denies', async () => {
      const event = await here.say(alice, roomId, 'read me');
      await here.core.localEvents.send(roomId, {
        type: 'm.room.server_acl',
        stateKey: '',
        sender: alice,
        content: { allow: [] },
      });
      await guest.send([], [typing(), receipt(guest.userId, event)]);
      expect(await typingNow()).toEqual([]);
      expect(await receipts()).toEqual([]);
    });

    it('go out for what people here do', async () => {
      const event = await here.say(alice, roomId, 'hello');
      await here.core.typing.setLocal(alice, roomId, true);
      await here.core.receipts.set(alice, roomId, 'm.read', event);
      const sent = (type: string) =>
        peer.received
          .filter(({ url }) => url.includes('/send/'))
          .flatMap(({ text }) => (JSON.parse(text) as { edus: JsonObject[] }).edus)
          .filter(({ edu_type: edu }) => edu === type);
      await until(() => sent('m.typing').length > 0 && sent('m.receipt').length > 0);
      expect(sent('m.typing')[0]?.['content']).toEqual({
        room_id: roomId,
        user_id: alice,
        typing: true,
      });
      expect(sent('m.receipt')[0]?.['content']).toEqual({
        [roomId]: {
          'm.read': { [alice]: { event_ids: [event], data: { ts: network.clock.nowMs() } } },
        },
      });
    });
  });
});
