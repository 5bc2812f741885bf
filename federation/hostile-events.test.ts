/** What a server in the room may send to harm others: each test is one attempt. */
import { EventSurroundings } from '../homeserver/rooms/event-surroundings.ts';
import type { LiveRoom } from '../homeserver/rooms/live-room.ts';
import { Outliers } from '../homeserver/rooms/outliers.ts';
import { RemoteReceiver } from '../homeserver/rooms/receive.ts';
import { RemoteStates } from '../homeserver/rooms/remote-states.ts';
import type { JsonObject } from '../spec/event.ts';
import type { EventId, RoomId, UserId } from '../spec/identifiers.ts';
import { FederationEvents } from './remote-events.ts';
import { Guest, type GuestEvent } from './testing/guest.ts';
import { inGuestScene } from './testing/guest-scene.ts';
import { until } from './testing/memory-log.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import type { NetworkServer } from './testing/test-network.ts';

const NUL = '\u0000';

describe('a hostile server in the room', () => {
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;
  let roomId: RoomId;
  let guest: Guest;

  const powerLevelOverride = { state_default: 0, events: { 'm.room.power_levels': 0 } };
  inGuestScene(
    (scene) => {
      ({ here, peer, alice, roomId, guest } = scene);
      here.refusedBatches = 0;
    },
    { powerLevelOverride },
  );

  let rooms = 0;
  const newRoom = async (version = '11', creator = alice): Promise<[RoomId, Guest]> => {
    const id = await here.rooms.roomCreator.create(creator, {
      preset: 'public_chat',
      version,
      powerLevelOverride,
    });
    return [id, await Guest.join(peer, here.name, id, peer.user(`guest${rooms++}`))];
  };
  const texts = (): Promise<string[]> => here.messages(alice, roomId);
  const stored = (id: EventId) => here.core.events.byId(id);
  const unread = async () => {
    const rooms = [...(await here.core.userRooms.of(alice)).values()];
    return here.core.unreadCounts.of(alice, rooms, here.core.log.position);
  };

  describe('with texts that the database takes for no text', () => {
    const attempts: [string, () => GuestEvent][] = [
      [
        'a membership',
        () => ({
          type: 'm.room.member',
          stateKey: guest.userId,
          content: { membership: `a${NUL}` },
        }),
      ],
      [
        'a power level’s user',
        () => ({
          type: 'm.room.power_levels',
          stateKey: '',
          content: { users: { [`@${NUL}:x`]: 'x' } },
        }),
      ],
      [
        'what is redacted',
        () => ({ type: 'm.room.redaction', content: { redacts: `$a${NUL}:b` } }),
      ],
      [
        'a relation',
        () => ({
          type: 'm.room.message',
          content: { body: '', 'm.relates_to': { rel_type: 'm.reference', event_id: NUL } },
        }),
      ],
      [
        'a thread',
        () => ({
          type: 'm.room.message',
          content: { body: '', 'm.relates_to': { rel_type: 'm.thread', event_id: `$${NUL}` } },
        }),
      ],
      [
        'a name',
        () => ({
          type: 'm.room.member',
          stateKey: guest.userId,
          content: { membership: 'join', displayname: NUL },
        }),
      ],
      ['a room’s name', () => ({ type: 'm.room.name', stateKey: '', content: { name: NUL } })],
    ];
    it.each(attempts)('in %s', async (_, make) => {
      await unread();
      const event = guest.make(make());
      const after = guest.message('after');
      const { body } = await guest.send([event, after]);
      expect(body.pdus).toEqual({ [event.id]: {}, [after.id]: {} });
      expect(await stored(event.id)).toBeDefined();
      expect(await texts()).toContain('after');
      await unread();
      // A batch holds what all rooms write at the time.
      expect(here.refusedBatches).toBe(0);
    });
  });

  describe('with numbers beyond what the database holds', () => {
    it.each([1e300, -1e300, 2 ** 63, -5])('of time: %p', async (ts) => {
      [roomId, guest] = await newRoom('3');
      const event = guest.make({ type: 'm.room.message', content: { body: 'when' }, ts });
      const { body } = await guest.send([event]);
      expect(body.pdus).toEqual({ [event.id]: {} });
      expect(await texts()).toEqual(['when']);
      expect(here.refusedBatches).toBe(0);
    });

    it('of depth', async () => {
      [roomId, guest] = await newRoom('3');
      await guest.send([guest.message('deep', { depth: 2 ** 62 })]);
      await here.say(alice, roomId, 'deeper');
      expect(await texts()).toEqual(['deep', 'deeper']);
      expect(here.refusedBatches).toBe(0);
    });
  });

  describe('with events of another room', () => {
    let otherRoom: RoomId;
    let otherGuest: Guest;

    beforeEach(async () => {
      [otherRoom, otherGuest] = await newRoom();
    });

    it('as what came before', async () => {
      const power = otherGuest.make({
        type: 'm.room.power_levels',
        stateKey: '',
        content: { users: { [alice]: 100, [guest.userId]: 99 } },
      });
      const there = otherGuest.make({ type: 'm.room.topic', stateKey: '', content: { topic: '' } });
      await otherGuest.send([power, there]);
      expect((await stored(there.id))?.snapshotAfter).toBeDefined();
      const before = await here.state(roomId);
      const event = guest.message('borrowed state', { prev: [guest.lastEventId, there.id] });
      await guest.send([event]);
      await here.say(alice, roomId, 'still here');
      expect(await here.state(roomId)).toEqual(before);
      expect(await texts()).toEqual(['still here']);
      await until(() => peer.received.some(({ url }) => url.includes('/state_ids/')));
      expect(await here.state(roomId)).toEqual(before);
    });

    it('as what came before, which it says is the room’s', async () => {
      const there = otherGuest.make({ type: 'm.room.topic', stateKey: '', content: { topic: '' } });
      await otherGuest.send([there]);
      const room = await here.core.registry.find(roomId);
      const truth = [...(room?.state.toMap().values() ?? [])].map(({ eventId }) => eventId);
      peer.on(/^GET \/_matrix\/federation\/v1\/state_ids\//, () => ({
        pdu_ids: truth,
        auth_chain_ids: [],
      }));
      const event = guest.message('borrowed', { prev: [there.id] });
      await guest.send([event]);
      await until(
        () =>
          !here.federation.queue.isWaiting(roomId) ||
          peer.received.some(({ url }) => url.includes('/event/')),
      );
      expect((await here.state(roomId)).includes(there.id)).toBe(false);
    });

    it('as what authorises', async () => {
      const power = otherGuest.make({
        type: 'm.room.power_levels',
        stateKey: '',
        content: { users: { [alice]: 100, [guest.userId]: 99 } },
      });
      await otherGuest.send([power]);
      const event = guest.make({
        type: 'm.room.message',
        content: { body: 'borrowed power' },
        auth: [...guest.message('x').event.authEventIds.slice(0, 1), power.id],
        prev: [guest.joinId],
      });
      await guest.send([event]);
      expect(await texts()).toEqual([]);
    });

    it('as what is to be redacted', async () => {
      const event = await here.say(alice, otherRoom, 'stays');
      const redaction = guest.make({ type: 'm.room.redaction', content: { redacts: event } });
      await guest.send([redaction]);
      expect(await here.messages(alice, otherRoom)).toEqual(['stays']);
    });
  });

  it('with an event that becomes known in two ways at once is given one row', async () => {
    const outliers = new Outliers(here.core);
    const room = (await here.core.registry.find(roomId)) as LiveRoom;
    for (let round = 0; round < 10; round += 1) {
      const events = Array.from({ length: 5 }, (_, index) =>
        guest.make({ type: 'test.state', stateKey: `${round}.${index}`, content: { round } }),
      );
      const sent = guest.send(events);
      for (let wait = 0; wait < round; wait += 1) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await outliers.store(room, events.map(({ event }) => event).reverse());
      expect((await sent).body.pdus).toEqual(Object.fromEntries(events.map(({ id }) => [id, {}])));
    }
    await here.say(alice, roomId, 'still here');
    expect(here.refusedBatches).toBe(0);
    here.core.events.clear();
    const last = await stored(room.extremities[0]?.event.prevEventIds[0] as EventId);
    expect(last).toMatchObject({ streamPos: expect.any(Number), softFailed: false });
  });

  it('with a state of a hundred thousand events is not asked for them', async () => {
    const ids = Array.from({ length: 100_000 }, (_, n) => `$${`${n}`.padStart(43, 'a')}`);
    peer.on(/^GET .*state_ids/, () => ({ pdu_ids: ids, auth_chain_ids: [] }));
    const nowhere = `$${'n'.repeat(43)}` as EventId;
    const event = guest.message('x', { prev: [nowhere] });
    await guest.send([event]);
    await until(() => peer.received.some(({ url }) => url.includes('/state_ids/')));
    await here.say(alice, roomId, 'still here');
    expect(await texts()).toEqual(['still here']);
    await until(async () => {
      const { rows } = await here.core.database.query<{ attempts: number }>({
        text: 'SELECT attempts FROM inbound_pdus WHERE event_id = $1',
        values: [event.id],
      });
      return (rows[0]?.attempts ?? 0) > 0;
    });
    expect(peer.received.filter(({ url }) => url.includes('/state/'))).toEqual([]);
  });

  it('with slow answers is not asked for ever, while the rest of the room waits', async () => {
    const { client, keyRing } = here.federation.transport;
    const remote = new FederationEvents({ client, keyRing });
    const outliers = new Outliers(here.core);
    const states = new RemoteStates({ ...here.core, outliers, remote });
    const surroundings = new EventSurroundings({ ...here.core, outliers, remote, states });
    const deps = { ...here.core, outliers, remote, surroundings };
    const receiver = new RemoteReceiver(deps, { askingTimeMs: 0 });
    const room = (await here.core.registry.find(roomId)) as LiveRoom;
    const honest = guest.message('honest');
    const nowhere = `$${'n'.repeat(43)}` as EventId;
    const { event } = guest.message('x', { prev: [nowhere] });
    const receipts = await receiver.receive(peer.name, room, [event, honest.event]);
    expect(receipts.get(event.eventId)?.error).toMatch(/too slowly/);
    expect(receipts.get(honest.id)).toEqual({});
    expect(peer.received.filter(({ url }) => url.includes('/state'))).toEqual([]);
  });

  it('with events that refer to each other in a circle is answered', async () => {
    // Ids are hashes, so that a circle can only be claimed, with ids of events that are not there.
    const missing = `$${'c'.repeat(43)}` as EventId;
    const one = guest.message('one', { prev: [missing] });
    const two = guest.message('two', { prev: [one.id] });
    peer.on(/^POST .*get_missing_events/, () => ({ events: [one.pdu, two.pdu, one.pdu, two.pdu] }));
    const { status } = await guest.send([two]);
    expect(status).toBe(200);
    await here.say(alice, roomId, 'still here');
    expect(await texts()).toEqual(['still here']);
  });

  it.each([
    ['m.room.power_levels', { users: [], users_default: {}, events: 'x', ban: null }],
    ['m.room.power_levels', { users: { '@a:b': 1.5e3 }, notifications: 5 }],
    ['m.room.join_rules', { join_rule: { a: 1 }, allow: 'x' }],
    ['m.room.history_visibility', { history_visibility: ['shared'] }],
    ['m.room.server_acl', { allow: 'x', deny: {}, allow_ip_literals: 'no' }],
    ['m.room.canonical_alias', { alias: 5, alt_aliases: {} }],
    ['m.room.name', { name: {} }],
    ['m.room.topic', { topic: [], 'm.topic': 7 }],
    ['m.room.avatar', { url: 1, info: 'x' }],
    ['m.room.encryption', { algorithm: [] }],
    ['m.room.guest_access', { guest_access: 0 }],
    ['m.room.third_party_invite', { public_key: 5, public_keys: 'x' }],
    ['m.room.tombstone', { replacement_room: {} }],
    ['m.room.policy', { via: {}, public_keys: [] }],
    ['m.space.child', { via: 'x', order: 5 }],
  ] as [string, JsonObject][])('with %s of the wrong types hurts nobody', async (type, content) => {
    const events = [
      guest.make({ type, stateKey: '', content }),
      guest.make({ type: 'm.room.member', stateKey: guest.userId, content: { membership: 5 } }),
      guest.make({ type: 'm.room.member', stateKey: 'nobody', content: { membership: 'invite' } }),
      guest.make({
        type: 'm.room.member',
        stateKey: guest.userId,
        content: { membership: 'join', displayname: {}, avatar_url: [], third_party_invite: 'x' },
      }),
    ];
    const { body } = await guest.send(events);
    expect(Object.keys(body.pdus).sort()).toEqual(events.map(({ id }) => id).sort());
    const carol = await here.user(`carol${Math.random()}`.replace('.', ''));
    await here.rooms.membership.join(carol, roomId).catch((error: unknown) => {
      expect(error).toMatchObject({ errcode: expect.any(String) });
    });
    await here.say(alice, roomId, 'still here').catch((error: unknown) => {
      expect(error).toMatchObject({ errcode: 'M_FORBIDDEN' });
    });
    await unread();
    expect(here.refusedBatches).toBe(0);
  });
});
