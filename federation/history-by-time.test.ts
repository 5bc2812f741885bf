import { randomUUID } from 'node:crypto';
import { createDiscovery, type Discovery } from '../homeserver/discovery/create-discovery.ts';
import type { JsonObject, MatrixEvent } from '../spec/event.ts';
import { compileRoomEventFilter } from '../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../spec/identifiers.ts';
import type { RoomBuilder } from '../spec/testing/room-builder.ts';
import { pduOf, type RoomPeer } from './testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from './testing/test-network.ts';

const MINUTE_MS = 60_000;

describe('an event by its time', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let alice: UserId;
  let bob: UserId;
  let discovery: Discovery;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server({ request_timeout_ms: 3_000 });
    alice = await here.user('alice');
    discovery = createDiscovery(
      there.core,
      there.history,
      there.rooms.restrictedJoins,
      there.federation.remoteRooms,
      there.federation.historyFiller,
    );
  });
  beforeEach(async () => {
    bob = await there.user(randomUUID());
  });
  afterAll(async () => {
    await discovery.close();
    await network.close();
  });

  const nearest = async (
    roomId: RoomId,
    ts: number,
    direction: 'backwards' | 'forwards',
  ): Promise<MatrixEvent | undefined> => {
    try {
      return await discovery.eventsByTime.nearest(bob, roomId, ts, direction);
    } catch (error) {
      expect(error).toMatchObject({ errcode: 'M_NOT_FOUND' });
      return undefined;
    }
  };
  const bodyOf = (event: MatrixEvent | undefined) => event?.content['body'];
  const page = async (roomId: RoomId, limit = 30) => {
    const bodies: string[] = [];
    let from: { streamPos: number; backfillPos: number } | undefined;
    do {
      const found = await there.history.messages({
        userId: bob,
        roomId,
        from,
        to: undefined,
        direction: 'backwards',
        limit,
        filter: compileRoomEventFilter({ types: ['m.room.message'] }),
      });
      for (const { stored } of found.events) bodies.push(String(stored.event.content['body']));
      from = found.end;
    } while (from !== undefined);
    return bodies.reverse();
  };

  describe('from before this server joined', () => {
    let roomId: RoomId;
    let startMs: number;

    const timeOf = (count: number): number => startMs + count * MINUTE_MS;

    beforeEach(async () => {
      roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
      startMs = network.clock.nowMs() + MINUTE_MS;
      for (let count = 0; count < 300; count += 1) {
        network.clock.advance(MINUTE_MS);
        await here.say(alice, roomId, `${count}`);
      }
      await there.rooms.membership.join(bob, roomId, { via: [here.name] });
    });

    it('is fetched, with what is around it', async () => {
      expect(bodyOf(await nearest(roomId, timeOf(100) - 5, 'forwards'))).toBe('100');
      const found = await nearest(roomId, timeOf(50) + 5, 'backwards');
      expect(bodyOf(found)).toBe('50');
      const around = await there.history.context(
        bob,
        roomId,
        found?.eventId as EventId,
        6,
        compileRoomEventFilter({}),
      );
      expect(around.before.map(({ stored }) => bodyOf(stored.event))).toEqual(['49', '48', '47']);
    });

    it('stands where it was said, whatever order times are asked for in', async () => {
      for (const count of [150, 30, 220, 151, 149, 60, 280, 0]) {
        expect(bodyOf(await nearest(roomId, timeOf(count), 'forwards'))).toBe(`${count}`);
      }
      const everything = Array.from({ length: 300 }, (_, count) => `${count}`);
      expect(await page(roomId)).toEqual(everything);
      const { rows } = await there.core.database.query<{ count: number }>({
        text: `SELECT count(*)::int AS count FROM missing_prev_events JOIN rooms USING (room_nid)
          WHERE room_id = $1`,
        values: [roomId],
      });
      expect(rows).toEqual([{ count: 0 }]);
    });

    it('is asked for only where events are missing', async () => {
      await page(roomId);
      await here.stop();
      expect(bodyOf(await nearest(roomId, timeOf(7) + 1, 'forwards'))).toBe('8');
      expect(await nearest(roomId, timeOf(400), 'forwards')).toBeUndefined();
      await here.start();
    });
  });

  describe('of a server that is up to something', () => {
    let peer: RoomPeer;
    let room: RoomBuilder;
    let messages: MatrixEvent[];

    beforeEach(async () => {
      peer = await network.peer();
      room = peer.buildRoom({ version: '11' });
      messages = Array.from({ length: 5 }, (_, n) => room.message(room.creator, `${n}`));
    });

    const answer = (event: { eventId: string; originServerTs: number }): void => {
      peer.on(/^GET \/_matrix\/federation\/v1\/timestamp_to_event\//, () => ({
        event_id: event.eventId,
        origin_server_ts: event.originServerTs,
      }));
    };
    /** Bob joins and knows no more of the room than its state. */
    const join = async (): Promise<void> => {
      peer.letJoin(room, bob);
      await there.rooms.membership.join(bob, room.roomId, { via: [peer.name] });
    };
    const middleMs = (): number => (messages[2] as MatrixEvent).originServerTs;

    it('is taken when it is as it should be', async () => {
      await join();
      answer(messages[2] as MatrixEvent);
      expect(bodyOf(await nearest(room.roomId, middleMs() - 1, 'forwards'))).toBe('2');
      expect(await page(room.roomId)).toEqual(['0', '1', '2', '3', '4']);
    });

    it('stands where it was said also when it comes in the middle of what leads up to it', async () => {
      await join();
      answer(messages[2] as MatrixEvent);
      peer.on(/^GET \/_matrix\/federation\/v1\/backfill\//, () => ({
        pdus: messages.slice(1).map((event) => pduOf(room, event)),
      }));
      let asked = 0;
      peer.on(/\/state_ids\/[^?]+\?event_id=(.+)$/, async (_, [, id = '']) => {
        asked += 1;
        if (asked === 1) {
          expect(bodyOf(await nearest(room.roomId, middleMs() - 1, 'forwards'))).toBe('2');
          peer.serve(room);
        }
        const [prev] = (room.events.get(id as EventId) as MatrixEvent).prevEventIds;
        const ids = [...room.stateAfter(room.events.get(prev as EventId)).values()];
        return { pdu_ids: ids, auth_chain_ids: ids };
      });
      expect(await page(room.roomId)).toEqual(['0', '1', '2', '3', '4']);
      expect(asked).toBe(2);
    });

    it('is not taken when forged, of another room, of another time, or no answer at all', async () => {
      const event = messages[2] as MatrixEvent;
      const other = peer.buildRoom({ version: '11', name: 'other' });
      const foreign = other.message(other.creator, 'foreign');
      await join();
      const local = await nearest(room.roomId, middleMs(), 'forwards');
      const forged = { ...pduOf(room, event), origin_server_ts: middleMs() + 1 };
      peer.on(/^GET \/_matrix\/federation\/v1\/event\//, () => ({ pdus: [forged] }));
      answer(event);
      expect(await nearest(room.roomId, middleMs() - 1, 'forwards')).toEqual(local);
      peer.on(/^GET \/_matrix\/federation\/v1\/event\//, () => ({ pdus: [pduOf(other, foreign)] }));
      answer({ eventId: foreign.eventId, originServerTs: middleMs() });
      expect(await nearest(room.roomId, middleMs() - 1, 'forwards')).toEqual(local);
      peer.serve(room);
      // Its time is not what the answer said.
      answer({ eventId: (messages[0] as MatrixEvent).eventId, originServerTs: middleMs() });
      expect(await nearest(room.roomId, middleMs() - 1, 'forwards')).toEqual(local);
      for (const odd of [{}, { event_id: 7 }, { event_id: event.eventId, origin_server_ts: '1' }]) {
        peer.on(/timestamp_to_event/, () => odd as JsonObject);
        expect(await nearest(room.roomId, middleMs() - 1, 'forwards')).toEqual(local);
      }
      expect(await there.core.events.byId(foreign.eventId)).toBeUndefined();
    });

    it('is not taken on its word alone from who may not send any more', async () => {
      const mallory = peer.user('mallory');
      const joined = room.member(mallory, 'join');
      room.member(mallory, 'ban', { sender: room.creator });
      const atMs = middleMs();
      // As if it had been sent while that was allowed.
      const stateBefore = room.stateAfter(joined);
      const [tip] = room.extremities;
      const invented = room.message(mallory, 'invented', { prev: [joined], stateBefore, ts: atMs });
      room.message(room.creator, 'last', { stateBefore: room.stateAfter(tip) });
      await join();
      answer(invented);
      const found = await nearest(room.roomId, atMs - 1, 'forwards');
      expect(
        peer.received.some(({ url }) => url.includes(encodeURIComponent(invented.eventId))),
      ).toBe(true);
      expect(found?.eventId).not.toBe(invented.eventId);
    });

    it('keeps nobody waiting who asks', async () => {
      await join();
      const local = await nearest(room.roomId, middleMs(), 'forwards');
      const silent = () => new Promise<JsonObject>(() => {});
      const answeredIn = async () => {
        const startedMs = performance.now();
        expect(await nearest(room.roomId, middleMs() - 1, 'forwards')).toEqual(local);
        return performance.now() - startedMs;
      };
      answer(messages[2] as MatrixEvent);
      peer.on(/\/state_ids\//, silent);
      expect(await answeredIn()).toBeLessThan(30_000);
      peer.on(/timestamp_to_event/, silent);
      expect(await answeredIn()).toBeLessThan(30_000);
    });
  });
});
