import { randomUUID } from 'node:crypto';
import { LogWriteFailed } from '../homeserver/streams/log.ts';
import type { JsonObject, MatrixEvent } from '../spec/event.ts';
import { compileRoomEventFilter } from '../spec/filter.ts';
import type { RoomId, UserId } from '../spec/identifiers.ts';
import type { RoomBuilder } from '../spec/testing/room-builder.ts';
import { until } from './testing/memory-log.ts';
import { pduOf, type RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

/** The bodies of everything a user can page back to, oldest first. */
const everything = async (server: NetworkServer, userId: UserId, roomId: RoomId) => {
  const bodies: string[] = [];
  let from: { streamPos: number; backfillPos: number } | undefined;
  for (let pages = 0; pages < 100; pages += 1) {
    const page = await server.history.messages({
      userId,
      roomId,
      from,
      to: undefined,
      direction: 'backwards',
      limit: 30,
      filter: compileRoomEventFilter({ types: ['m.room.message'] }),
    });
    for (const { stored } of page.events) bodies.push(String(stored.event.content['body']));
    from = page.end;
    if (from === undefined) break;
  }
  return bodies.reverse();
};

describe('history that is elsewhere', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let alice: UserId;
  let bob: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await here.user('alice');
  });
  beforeEach(async () => {
    bob = await there.user(randomUUID());
  });
  afterAll(() => network.close());

  const create = (version: string, historyVisibility = 'shared') =>
    here.rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      version,
      initialState: [
        {
          type: 'm.room.history_visibility',
          stateKey: '',
          content: { history_visibility: historyVisibility },
        },
      ],
    });

  it.each(['1', '6', '11', '12'])(
    'is read back to the beginning in version %s',
    async (version) => {
      const roomId = await create(version);
      const bodies: string[] = [];
      for (let count = 0; count < 130; count += 1) {
        bodies.push(`message ${count}`);
        await here.say(alice, roomId, `message ${count}`);
        if (count % 40 === 0) {
          const content = { name: `Name ${count}` };
          await here.core.localEvents.send(roomId, {
            type: 'm.room.name',
            stateKey: '',
            sender: alice,
            content,
          });
        }
      }
      await there.rooms.membership.join(bob, roomId, { via: [here.name] });
      expect(await everything(there, bob, roomId)).toEqual(bodies);
      // It is all here now.
      const { rows } = await there.core.database.query<{ count: number }>({
        text: `SELECT count(*)::bigint AS count FROM missing_prev_events m
        JOIN rooms r USING (room_nid) WHERE r.room_id = $1`,
        values: [roomId],
      });
      expect(rows[0]?.count).toBe(0);
      const room = await there.core.registry.find(roomId);
      expect(room?.missingPrevEvents.size).toBe(0);
      expect(await there.state(roomId)).toEqual(await here.state(roomId));
    },
  );

  it('is shown as far as its visibility at the time allows', async () => {
    const roomId = await create('11', 'joined');
    await here.say(alice, roomId, 'secret');
    await here.core.localEvents.send(roomId, {
      type: 'm.room.history_visibility',
      stateKey: '',
      sender: alice,
      content: { history_visibility: 'shared' },
    });
    await here.say(alice, roomId, 'shared');
    await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    expect(await everything(there, bob, roomId)).toEqual(['shared']);
  });

  it('has the redactions that came before it did', async () => {
    const roomId = await create('11');
    const target = await here.say(alice, roomId, 'take this back');
    for (let count = 0; count < 120; count += 1) await here.say(alice, roomId, `${count}`);
    await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    const by = await here.core.localEvents.send(roomId, {
      type: 'm.room.redaction',
      sender: alice,
      redacts: target,
      content: {},
    });
    await until(async () => {
      const room = await there.core.registry.find(roomId);
      return room?.unappliedRedactions.has(target) === true;
    });
    expect((await there.core.events.byId(by))?.softFailed).toBe(true);
    const bodies = await everything(there, bob, roomId);
    expect(bodies).not.toContain('take this back');
    const stored = await there.core.events.byId(target);
    expect(stored?.event.content).toEqual({});
    expect(stored?.redactedByNid).toBeDefined();
    for (const clear of [false, true]) {
      if (clear) there.core.events.clear();
      expect((await there.core.events.byId(by))?.softFailed).toBe(false);
    }
    const { rows } = await there.core.database.query<{ count: number }>({
      text: `SELECT count(*)::int AS count FROM unapplied_redactions
        JOIN rooms USING (room_nid) WHERE room_id = $1`,
      values: [roomId],
    });
    expect(rows).toEqual([{ count: 0 }]);
    expect((await there.core.registry.find(roomId))?.unappliedRedactions.size).toBe(0);
  });

  it('of a pause in which this server heard nothing is put in its place', async () => {
    const roomId = await create('12');
    await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    await there.say(bob, roomId, 'before');
    await until(async () => (await here.messages(alice, roomId)).includes('before'));
    await there.stop();
    for (let count = 0; count < 150; count += 1) await here.say(alice, roomId, `missed ${count}`);
    await there.start();
    await here.say(alice, roomId, 'after');
    network.clock.advance(120_000);
    here.federation.transport.health.heardFrom(there.name);
    await until(async () => (await there.messages(bob, roomId, 5)).includes('after'));
    const bodies = await everything(there, bob, roomId);
    const missed = Array.from({ length: 150 }, (_, count) => `missed ${count}`);
    expect(bodies).toEqual(['before', ...missed, 'after']);
  });

  describe('on a server that is up to something', () => {
    let peer: RoomPeer;
    let room: RoomBuilder;

    beforeEach(async () => {
      peer = await network.peer();
      room = peer.buildRoom({ version: '11' });
    });

    /** Bob joins the room as it is, and knows no more of it than its state. */
    const join = async (): Promise<void> => {
      peer.letJoin(room, bob);
      await there.rooms.membership.join(bob, room.roomId, { via: [peer.name] });
    };
    const backfill = (pdus: () => JsonObject[]): void => {
      peer.on(/^GET \/_matrix\/federation\/v1\/backfill\//, () => ({ pdus: pdus() }));
    };

    it('is taken when it is not', async () => {
      for (let count = 0; count < 5; count += 1) room.message(room.creator, `${count}`);
      await join();
      expect(await everything(there, bob, room.roomId)).toEqual(['0', '1', '2', '3', '4']);
    });

    it('is not taken from elsewhere in the graph, or forged', async () => {
      const [start] = room.extremities;
      const good = room.message(room.creator, 'good');
      const aside = room.message(room.creator, 'aside', { prev: [start as MatrixEvent] });
      const last = room.message(room.creator, 'last', { prev: [good] });
      const forged = { ...pduOf(room, good), content: { body: 'forged' } };
      await join();
      backfill(() => [pduOf(room, last), pduOf(room, aside), forged, null as never]);
      // What is not as its sender hashed it counts as redacted.
      expect(await everything(there, bob, room.roomId)).toEqual(['undefined', 'last']);
      expect(await there.core.events.byId(aside.eventId)).toBeUndefined();
    });

    it('is kept from people where it was not allowed', async () => {
      const mallory = peer.user('mallory');
      room.message(room.creator, 'allowed');
      room.message(mallory, 'not in the room');
      room.message(room.creator, 'after');
      await join();
      expect(await everything(there, bob, room.roomId)).toEqual(['allowed', 'after']);
    });

    it('ends where nobody tells more, and is asked for again only later', async () => {
      room.message(room.creator, 'untold');
      await join();
      backfill(() => []);
      const asked = () => peer.received.filter(({ url }) => url.includes('/backfill/')).length;
      expect(await everything(there, bob, room.roomId)).toEqual([]);
      const once = asked();
      expect(once).toBeGreaterThan(0);
      expect(await everything(there, bob, room.roomId)).toEqual([]);
      expect(asked()).toBe(once);
      network.clock.advance(11 * 60_000);
      peer.serve(room);
      expect(await everything(there, bob, room.roomId)).toEqual(['untold']);
    });

    it('is none yet where this server failed to keep it, and is soon asked for again', async () => {
      const events = ['0', '1', '2'].map((body) => room.message(room.creator, body));
      await join();
      const { chains, log } = there.core;
      const append = log.append.bind(log);
      const failing: [() => void, () => void][] = [
        [
          () => (chains.place = () => Promise.reject(new Error('no connection'))),
          () => delete (chains as Partial<typeof chains>).place,
        ],
        [
          () => (log.append = () => Promise.reject(new LogWriteFailed('refused'))),
          () => (log.append = append),
        ],
      ];
      for (const [breaks, mends] of failing) {
        breaks();
        expect(await everything(there, bob, room.roomId)).toEqual([]);
        mends();
        for (const { eventId } of events) {
          expect((await there.core.events.byId(eventId))?.snapshotAfter).toBeUndefined();
        }
        network.clock.advance(11_000);
      }
      expect(await everything(there, bob, room.roomId)).toEqual(['0', '1', '2']);
    });

    it('is told once to several who ask together', async () => {
      for (let count = 0; count < 5; count += 1) room.message(room.creator, `${count}`);
      await join();
      const pages = await Promise.all([1, 2, 3].map(() => everything(there, bob, room.roomId)));
      expect(pages[0]).toHaveLength(5);
      expect(new Set(pages.map((page) => page.join())).size).toBe(1);
      const { rows } = await there.core.database.query<{ count: number }>({
        text: `SELECT count(*)::bigint AS count FROM events e JOIN rooms r USING (room_nid)
          WHERE r.room_id = $1 AND e.type = 'm.room.message'`,
        values: [room.roomId],
      });
      expect(rows[0]?.count).toBe(5);
    });
  });
});
