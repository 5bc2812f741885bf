/** Rooms whose events come in any order, and with many heads. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { maxExtremitiesOfServer } from '../homeserver/rooms/extremity-reducer.ts';
import type { LiveRoom } from '../homeserver/rooms/live-room.ts';
import type { StoredEvent } from '../homeserver/rooms/stored-event.ts';
import { seededRandom } from '../homeserver/testing/seeded-random.ts';
import { buildEvent } from '../spec/build-event.ts';
import { type JsonObject, type MatrixEvent, type StateMap, stateKeyOf } from '../spec/event.ts';
import type { EventId, RoomId, UserId } from '../spec/identifiers.ts';
import { resolveState } from '../spec/state-resolution/resolve.ts';
import { Guest, type MadeEvent } from './testing/guest.ts';
import { until } from './testing/memory-log.ts';
import type { RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

/** Numbers in [0, 1) that are the same in every run. */
const seeded = (seed: number) => {
  const random = seededRandom(`order ${seed}`);
  return (): number => random.bytes(4).readUInt32BE() / 2 ** 32;
};

describe('a room that forks', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let peer: RoomPeer;
  let alice: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    alice = await here.user('alice');
  });
  beforeEach(async () => {
    peer = await network.peer();
    network.clock.advance(1);
  });
  afterAll(() => network.close());

  let guests = 0;
  const open = async (version: string, levels: object = {}): Promise<[RoomId, Guest]> => {
    const roomId = await here.rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      version,
      powerLevelOverride: {
        state_default: 0,
        events: { 'm.room.power_levels': 0, 'm.room.join_rules': 0 },
        ...levels,
      },
    });
    return [roomId, await Guest.join(peer, here.name, roomId, peer.user(`guest${guests++}`))];
  };
  const live = async (roomId: RoomId): Promise<LiveRoom> =>
    (await here.core.registry.find(roomId)) as LiveRoom;
  const headsOf = (room: LiveRoom): EventId[] =>
    room.extremities.map(({ event }) => event.eventId).sort();
  const idsIn = (room: LiveRoom): StateMap =>
    new Map([...room.state.toMap()].map(([key, { eventId }]) => [key, eventId]));

  /** What follows from a guest's events whatever order they came in. */
  class Reference {
    readonly events = new Map<EventId, MatrixEvent>();
    readonly #after = new Map<EventId, StateMap>();
    readonly #guest: Guest;

    constructor(guest: Guest) {
      this.#guest = guest;
      this.#after.set(
        guest.joinId,
        new Map([...guest.state].map(([key, { eventId }]) => [key, eventId])),
      );
    }

    async add({ event }: MadeEvent): Promise<void> {
      const state = new Map(await this.resolve(event.prevEventIds));
      if (event.stateKey !== undefined) {
        state.set(stateKeyOf(event.type, event.stateKey), event.eventId);
      }
      this.events.set(event.eventId, event);
      this.#after.set(event.eventId, state);
    }

    before(event: MatrixEvent): Promise<StateMap> {
      return this.resolve(event.prevEventIds);
    }

    resolve(ids: readonly EventId[]): Promise<StateMap> {
      const known = new Map(
        [...this.#guest.state.values(), ...this.events.values()].map((event) => [
          event.eventId,
          event,
        ]),
      );
      return resolveState(
        this.#guest.rules,
        ids.map((id) => this.#after.get(id) as StateMap),
        {
          fetchEvents: async (wanted) =>
            new Map(wanted.flatMap((id) => (known.has(id) ? [[id, known.get(id)!]] : []))),
        },
      );
    }

    get heads(): EventId[] {
      const followed = new Set([...this.events.values()].flatMap((event) => event.prevEventIds));
      return [...this.events.keys()].filter((id) => !followed.has(id)).sort();
    }
  }

  const serveStates = (guest: Guest, reference: Reference, tellsMissing: () => boolean): void => {
    const all = (id: EventId) =>
      reference.events.get(id) ?? [...guest.state.values()].find(({ eventId }) => eventId === id);
    const authChain = (ids: Iterable<EventId>): EventId[] => {
      const chain = new Set<EventId>();
      const queue = [...ids];
      for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
        for (const auth of all(id)?.authEventIds ?? []) {
          if (!chain.has(auth)) queue.push(auth);
          chain.add(auth);
        }
      }
      return [...chain];
    };
    const pdu = (id: EventId) => all(id)?.pdu as never;
    peer.on(/^GET \/_matrix\/federation\/v1\/event\/(.+)$/, (_, [, id = '']) => ({
      pdus: [pdu(id as EventId)],
    }));
    peer.on(/^GET \/_matrix\/federation\/v1\/event_auth\/[^/]+\/(.+)$/, (_, [, id = '']) => ({
      auth_chain: authChain([id as EventId]).map(pdu),
    }));
    peer.on(
      /^GET \/_matrix\/federation\/v1\/state_ids\/[^?]+\?event_id=(.+)$/,
      async (_, [, id = '']) => {
        const state = [...(await reference.before(all(id as EventId)!)).values()];
        return { pdu_ids: state, auth_chain_ids: authChain(state) };
      },
    );
    guest.tellMissing();
    const answers = /^POST \/_matrix\/federation\/v1\/get_missing_events\//;
    peer.on(answers, ({ text }) => {
      const asked = JSON.parse(text) as { latest_events: EventId[]; earliest_events: EventId[] };
      if (!tellsMissing()) return { events: [] };
      const known = new Set<EventId>([...asked.latest_events, ...asked.earliest_events]);
      const found = new Set<EventId>();
      const queue = [...asked.latest_events];
      for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
        for (const prev of reference.events.get(id)?.prevEventIds ?? []) {
          if (known.has(prev) || found.has(prev) || !reference.events.has(prev)) continue;
          found.add(prev);
          queue.push(prev);
        }
      }
      return { events: [...found].map(pdu) };
    });
  };

  it('keeps its state when an event comes after the one that follows it', async () => {
    const [roomId, guest] = await open('11');
    const reference = new Reference(guest);
    const topic = (text: string, ts: number) =>
      guest.make({ type: 'm.room.topic', stateKey: '', content: { topic: text }, ts });
    const now = network.clock.nowMs();
    const x = topic('x', now + 60_000);
    await reference.add(x);
    const y = guest.make({
      type: 'm.room.topic',
      stateKey: '',
      content: { topic: 'y' },
      ts: now,
    });
    await reference.add(y);
    serveStates(guest, reference, () => false);
    await guest.send([y]);
    await until(async () => (await here.core.events.byId(y.id))?.streamPos !== undefined);
    const room = await live(roomId);
    const state = idsIn(room);
    expect(headsOf(room)).toEqual([guest.joinId, y.id].sort());
    await guest.send([x]);
    await until(async () => (await here.core.events.byId(x.id))?.streamPos !== undefined);
    expect(headsOf(room)).toEqual([y.id]);
    expect(idsIn(room)).toEqual(state);
    const said = await here.say(alice, roomId, 'next');
    expect((await here.core.events.byId(said))?.event.prevEventIds).toEqual([y.id]);
  });

  const runs = ['6', '11', '12'].flatMap((version) =>
    [1, 2, 3, 4].map((seed) => [version, seed] as const),
  );
  it.each(runs)(
    'comes to the same in version %s, in order %i',
    async (version, seed) => {
      const random = seeded(seed * 1000 + Number(version));
      const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
      const [roomId, guest] = await open(version);
      const reference = new Reference(guest);
      const made: MadeEvent[] = [];
      const ids: EventId[] = [guest.joinId];
      const base = network.clock.nowMs();
      for (let count = 0; count < 14; count += 1) {
        // Mostly near the end, as events are.
        const recent = ids.slice(-4);
        const prev = [...new Set([pick(recent), ...(random() < 0.4 ? [pick(recent)] : [])])];
        const before = await reference.resolve(prev);
        const known = new Map(
          [...guest.state.values(), ...reference.events.values()].map((event) => [
            event.eventId,
            event,
          ]),
        );
        const savedState = new Map(guest.state);
        guest.state.clear();
        for (const [key, id] of before) guest.state.set(key, known.get(id) as MatrixEvent);
        const depth = Math.max(...prev.map((id) => known.get(id)?.depth ?? 5)) + 1;
        const ts = base + Math.floor(random() * 5);
        const kind = random();
        const event =
          kind < 0.4
            ? guest.make({
                type: 'm.room.topic',
                stateKey: '',
                content: { topic: `${count}` },
                prev,
                depth,
                ts,
              })
            : kind < 0.6
              ? guest.make({
                  type: 'm.room.name',
                  stateKey: '',
                  content: { name: `${count}` },
                  prev,
                  depth,
                  ts,
                })
              : kind < 0.75
                ? guest.make({
                    type: 'm.room.join_rules',
                    stateKey: '',
                    content: { join_rule: 'public', n: count },
                    prev,
                    depth,
                    ts,
                  })
                : guest.make({
                    type: 'm.room.message',
                    content: { body: `${count}` },
                    prev,
                    depth,
                    ts,
                  });
        guest.state.clear();
        for (const [key, value] of savedState) guest.state.set(key, value);
        await reference.add(event);
        made.push(event);
        ids.push(event.id);
      }
      serveStates(guest, reference, () => random() < 0.5);
      const waiting = [...made];
      // Events are away from their places by a few, and come one or two at a time.
      for (let at = 0; at + 1 < waiting.length; at += 1) {
        const to = Math.min(waiting.length - 1, at + Math.floor(random() * 4));
        [waiting[at], waiting[to]] = [waiting[to] as MadeEvent, waiting[at] as MadeEvent];
      }
      while (waiting.length > 0) {
        await guest.send(waiting.splice(0, random() < 0.3 ? 2 : 1));
        await until(() => !here.federation.queue.isWaiting(roomId));
      }
      for (const { id } of made) {
        const stored = await here.core.events.byId(id);
        expect([stored?.rejectedReason, stored?.softFailed]).toEqual([undefined, false]);
      }
      const room = await live(roomId);
      expect(headsOf(room)).toEqual(reference.heads);
      expect(idsIn(room)).toEqual(await reference.resolve(reference.heads));
      const said = await here.say(alice, roomId, 'next');
      expect([...((await here.core.events.byId(said))?.event.prevEventIds ?? [])].sort()).toEqual(
        reference.heads,
      );
    },
    60_000,
  );

  const forks = (guest: Guest, count: number): MadeEvent[] =>
    Array.from({ length: count }, (_, index) =>
      guest.make({
        type: 'm.room.message',
        content: { msgtype: 'm.text', body: `fork ${index}` },
        prev: [guest.joinId],
        depth: 20,
      }),
    );

  it('is tied together as it forks where someone here may speak', async () => {
    const [roomId, guest] = await open('11');
    for (const part of [0, 1, 2, 3]) {
      const events = forks(guest, 50);
      await guest.send(events);
      for (const { id } of events) {
        expect((await here.core.events.byId(id))?.softFailed).toBe(false);
      }
      expect((await live(roomId)).extremities.length).toBeLessThanOrEqual(
        maxExtremitiesOfServer + 1,
      );
      expect(part).toBeLessThan(4);
    }
  });

  it('has the events of a server that forks it held back where nobody here may speak', async () => {
    const [roomId, guest] = await open('11', { events_default: 50, users: { [alice]: 100 } });
    await here.core.localEvents.send(roomId, {
      type: 'm.room.power_levels',
      stateKey: '',
      sender: alice,
      content: { events_default: 50, state_default: 0, users: { [guest.userId]: 50 } },
    });
    const levels = (await live(roomId)).stateRef('m.room.power_levels', '');
    const changed = (await here.core.events.byId(levels?.eventId as EventId))?.event as MatrixEvent;
    guest.state.set(stateKeyOf('m.room.power_levels', ''), changed);
    const events = Array.from({ length: 200 }, (_, index) =>
      guest.make({
        type: 'm.room.message',
        content: { msgtype: 'm.text', body: `fork ${index}` },
        prev: [changed.eventId],
        depth: 20,
      }),
    );
    for (let at = 0; at < events.length; at += 50) await guest.send(events.slice(at, at + 50));
    const room = await live(roomId);
    expect(room.extremities).toHaveLength(maxExtremitiesOfServer);
    const other = await Guest.join(await network.peer(), here.name, roomId);
    expect(room.membership(other.userId)).toBe('join');
    // What was held back counts once it is followed.
    const held = events.at(-1) as MadeEvent;
    expect((await here.core.events.byId(held.id))?.softFailed).toBe(true);
    const next = guest.make({
      type: 'm.room.topic',
      stateKey: '',
      content: { topic: 'all together' },
      prev: [...headsOf(room).slice(0, 15), held.id],
    });
    await guest.send([next]);
    expect(room.extremities.map(({ event }) => event.eventId)).toContain(next.id);
  });

  it('names no more heads in an event than those whose state has authorised it', async () => {
    const [roomId, guest] = await open('11');
    const room = await live(roomId);
    const names = Array.from({ length: 30 }, (_, index) =>
      guest.make({
        type: `test.${index}`,
        stateKey: '',
        content: { index },
        prev: [guest.joinId],
        depth: 20 + index,
      }),
    );
    // As rooms were before heads were bounded.
    const before = await here.core.snapshots.load(
      room.nid,
      (await here.core.events.byId(guest.joinId))?.snapshotAfter as number,
    );
    await room.exclusive(async () => {
      for (const { event } of names) {
        const { committed } = await here.core.appender.append(room, [
          { event, stateBefore: before },
        ]);
        void committed;
      }
      expect(room.extremities.length).toBe(30);
      const { eventId, committed } = await here.core.localEvents.stage(room, {
        type: 'm.room.message',
        sender: alice,
        content: { body: 'x' },
      });
      await committed;
      const stored = await here.core.events.byId(eventId);
      const state = await here.core.snapshots.load(room.nid, stored?.snapshotBefore as number);
      const named = new Set(stored?.event.prevEventIds);
      expect(named.size).toBe(20);
      for (const { event } of names) {
        const ref = state.get(stateKeyOf(event.type, ''));
        expect(ref?.eventId).toBe(named.has(event.eventId) ? event.eventId : undefined);
      }
      expect(room.extremities.length).toBe(11);
    });
  });

  const size = Number(process.env['FORKED_ROOM_MEMBERS'] ?? 1500);
  it(`takes a transaction of forked state in the turn of others, with ${size} members`, async () => {
    const big = peer.buildRoom({ version: '11', powerLevels: { state_default: 0 } });
    for (let index = 0; index < size; index += 1) big.member(peer.user(`member${index}`), 'join');
    peer.serve(big);
    const state = () =>
      [...big.stateAfter().values()].map((id) => JSON.parse(big.json.get(id) as string));
    peer.on(/^GET \/_matrix\/federation\/v1\/make_join\//, () => ({
      room_version: '11',
      event: {
        type: 'm.room.member',
        room_id: big.roomId,
        sender: alice,
        state_key: alice,
        content: { membership: 'join' },
        auth_events: ['m.room.create', 'm.room.power_levels', 'm.room.join_rules'].map(
          (type) => big.stateAfter().get(stateKeyOf(type, '')) as EventId,
        ),
        prev_events: big.extremities.map(({ eventId }) => eventId),
        depth: big.timeline.length + 1,
        origin_server_ts: 0,
      },
    }));
    peer.on(/^PUT \/_matrix\/federation\/v2\/send_join\//, ({ text }) => ({
      event: JSON.parse(text),
      state: state(),
      auth_chain: state(),
    }));
    await here.rooms.membership.join(alice, big.roomId, { via: [peer.name] });
    const room = await live(big.roomId);
    const [head] = room.extremities as [StoredEvent];
    const stateEvent = (type: string, key = '') =>
      room.state.get(stateKeyOf(type, key))?.eventId as EventId;
    const leaves = Array.from({ length: 50 }, (_, index) => {
      const user = peer.user(`member${index}`);
      const { json } = buildEvent(
        {
          type: 'm.room.member',
          stateKey: user,
          sender: user,
          content: { membership: 'leave' },
          roomId: big.roomId,
          prev: [head.event.eventId],
          auth: [
            stateEvent('m.room.create'),
            stateEvent('m.room.power_levels'),
            stateEvent('m.room.member', user),
          ],
          depth: head.event.depth + 1,
          ts: network.clock.nowMs(),
        },
        big.rules,
        peer.name,
        peer.peer.key,
      );
      return JSON.parse(json) as JsonObject;
    });
    // Where they are not tied together, there are as many heads as there may be.
    const reducer = here.core.extremityReducer;
    const hasRoomFor = reducer.hasRoomFor.bind(reducer);
    for (const isTied of [true, false]) {
      if (!isTied) reducer.hasRoomFor = () => Promise.resolve(true);
      const delay = monitorEventLoopDelay({ resolution: 1 });
      const before = process.cpuUsage();
      delay.enable();
      const { body } = await peer.ask(
        here.name,
        'PUT',
        `/_matrix/federation/v1/send/leaves${isTied}`,
        { origin: peer.name, pdus: leaves.splice(0, 25) },
      );
      delay.disable();
      const used = process.cpuUsage(before);
      const cpuMs = (used.user + used.system) / 1000;
      if (process.env['FORKED_ROOM_MEMBERS'] !== undefined) {
        process.stdout.write(
          `${size} members, 25 forks, tied ${isTied}: ${cpuMs} ms, at most ${delay.max / 1e6} ms\n`,
        );
      }
      expect(Object.values(body.pdus as object)).toEqual(new Array(25).fill({}));
      expect(cpuMs).toBeLessThan(1500);
    }
    reducer.hasRoomFor = hasRoomFor;
    for (let index = 0; index < 50; index += 1) {
      expect(room.membership(peer.user(`member${index}`))).toBe('leave');
    }
  }, 600_000);
});
