/** Invites by servers that need have nothing to do with the room, nor with whom they invite. */
import { randomUUID } from 'node:crypto';
import { maxStrippedStateBytes } from '../../homeserver/rooms/stripped-state.ts';
import { createSync } from '../../homeserver/sync/create-sync.ts';
import { buildEvent } from '../../spec/build-event.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { compileFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { KNOWN_ROOM_VERSIONS, type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import { until } from '../testing/memory-log.ts';
import type { PeerResponse, RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

describe('invites of strangers', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let stranger: RoomPeer;
  let bob: UserId;
  let invites = 0;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    stranger = await network.peer();
  });
  beforeEach(async () => {
    bob = await here.user(randomUUID());
    network.clock.advance(1);
  });
  afterAll(() => network.close());

  const memberEvent = (
    peer: RoomPeer,
    version: string,
    roomId: RoomId,
    membership: string,
    sender = peer.user('stranger'),
    user = bob,
  ): { event: MatrixEvent; pdu: JsonObject } => {
    const rules = rulesOf(version) as RoomVersionRules;
    invites += 1;
    const { event, json } = buildEvent(
      {
        type: 'm.room.member',
        stateKey: user,
        sender,
        content: { membership },
        roomId,
        prev: [],
        auth: [],
        depth: invites,
        ts: network.clock.nowMs(),
        eventId:
          rules.eventIdFormat === 'domain' ? (`$${invites}:${peer.name}` as EventId) : undefined,
      },
      rules,
      peer.name,
      peer.peer.key,
    );
    return { event, pdu: JSON.parse(json) as JsonObject };
  };

  const invite = (
    peer: RoomPeer,
    version: string,
    roomId: RoomId,
    state: JsonObject[] = [],
    sender = peer.user('stranger'),
  ): Promise<PeerResponse> => {
    const { event, pdu } = memberEvent(peer, version, roomId, 'invite', sender);
    const path = `/_matrix/federation/v2/invite/${encodeURIComponent(roomId)}`;
    return peer.ask(here.name, 'PUT', `${path}/${encodeURIComponent(event.eventId)}`, {
      room_version: version,
      event: pdu,
      invite_room_state: state,
    });
  };

  const standing = async (roomId: RoomId) =>
    [...(await here.core.userRooms.of(bob)).values()].find((room) => room.roomId === roomId);
  const topicOf = (text: string, sender: string): JsonObject => ({
    type: 'm.room.topic',
    state_key: '',
    sender,
    content: { topic: text },
  });

  describe('that name a room version', () => {
    let there: NetworkServer;
    let alice: UserId;
    beforeAll(async () => {
      there = await network.server();
      alice = await there.user('alice');
    });

    const cases = KNOWN_ROOM_VERSIONS.flatMap((version) => [
      [version, 'declined'] as const,
      [version, 'left alone'] as const,
    ]);
    it('do not decide what version the room is of', async () => {
      const rooms: { roomId: RoomId; version: string; user: UserId }[] = [];
      for (const [version, fate] of cases) {
        const roomId = await there.rooms.roomCreator.create(alice, {
          preset: 'public_chat',
          version: '11',
        });
        bob = await here.user(randomUUID());
        const { status } = await invite(stranger, version, roomId);
        // In version 12 no room has an id with a domain.
        expect([version, status]).toEqual([version, version === '12' ? 400 : 200]);
        if (version !== '12' && fate === 'declined') {
          await here.rooms.membership.leave(bob, roomId);
          expect((await standing(roomId))?.membership).toBe('leave');
        }
        await here.rooms.membership.join(bob, roomId, { via: [there.name] });
        rooms.push({ roomId, version, user: bob });
      }
      await here.stop();
      await here.start();
      for (const { roomId, version, user } of rooms) {
        await there.say(alice, roomId, `from there, ${version}`);
        await until(async () =>
          (await here.messages(user, roomId)).includes(`from there, ${version}`),
        );
        await here.say(user, roomId, `from here, ${version}`);
        await until(async () =>
          (await there.messages(alice, roomId)).includes(`from here, ${version}`),
        );
      }
      const { rows } = await here.core.database.query<{ version: string | null }>({
        text: 'SELECT DISTINCT version FROM rooms WHERE room_id = ANY($1::text[])',
        values: [rooms.map(({ roomId }) => roomId)],
      });
      expect(rows).toEqual([{ version: '11' }]);
    }, 120_000);

    it('are refused where this server knows the version', async () => {
      const roomId = await there.rooms.roomCreator.create(alice, {
        preset: 'public_chat',
        version: '11',
      });
      await here.rooms.membership.join(bob, roomId, { via: [there.name] });
      await here.rooms.membership.leave(bob, roomId);
      const refused = await invite(stranger, '10', roomId);
      expect([refused.status, refused.body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
      expect((await invite(stranger, '11', roomId)).status).toBe(200);
    });
  });

  describe('that bring much', () => {
    it('are refused where what introduces the room is large', async () => {
      const roomId = `!large:${stranger.name}` as RoomId;
      const entry = topicOf('x'.repeat(20_000), stranger.user('stranger'));
      const large = await invite(stranger, '11', roomId, new Array(50).fill(entry));
      expect([large.status, large.body.errcode]).toEqual([413, 'M_TOO_LARGE']);
      const many = await invite(
        stranger,
        '11',
        roomId,
        new Array(101).fill(topicOf('x', stranger.user('stranger'))),
      );
      expect([many.status, many.body.errcode]).toEqual([413, 'M_TOO_LARGE']);
      expect(await standing(roomId)).toBeUndefined();
    });

    it('show what matters most of it', async () => {
      const roomId = `!trimmed:${stranger.name}` as RoomId;
      const sender = stranger.user('stranger');
      const state = [
        ...Array.from({ length: 9 }, () => topicOf('x'.repeat(20_000), sender)),
        { type: 'm.room.name', state_key: '', sender, content: { name: 'Room' } },
      ];
      expect((await invite(stranger, '11', roomId, state)).status).toBe(200);
      const shown = (await standing(roomId))?.strippedState ?? '';
      expect(Buffer.byteLength(shown)).toBeLessThanOrEqual(maxStrippedStateBytes);
      const types = (JSON.parse(shown) as { type: string }[]).map(({ type }) => type);
      expect(types).toEqual([
        'm.room.name',
        'm.room.topic',
        'm.room.topic',
        'm.room.topic',
        'm.room.member',
      ]);
    });

    it('are refused from one server before the user has no place for others', async () => {
      const peer = await network.peer();
      const entry = topicOf('x'.repeat(60_000), peer.user('stranger'));
      const answers = await Promise.all(
        Array.from({ length: 60 }, (_, index) =>
          invite(peer, '11', `!flood${index}:${peer.name}` as RoomId, [entry]),
        ),
      );
      const taken = answers.filter(({ status }) => status === 200);
      const refused = answers.filter(({ status }) => status !== 200);
      expect(taken.length).toBeGreaterThan(10);
      expect(taken.length).toBeLessThan(20);
      for (const { status, body } of refused) {
        expect([status, body.errcode]).toEqual([403, 'M_FORBIDDEN']);
      }
      const waiting = [...(await here.core.userRooms.of(bob)).values()];
      const bytes = waiting.reduce(
        (sum, { strippedState }) => sum + Buffer.byteLength(strippedState ?? ''),
        0,
      );
      expect(bytes).toBeLessThan(1024 * 1024 + maxStrippedStateBytes);
      const synced = await createSync(here.core).sync({
        userId: bob,
        deviceId: undefined,
        filter: compileFilter({}),
        since: undefined,
        fullState: false,
        useStateAfter: false,
        timeoutMs: 0,
      });
      expect(Buffer.byteLength(synced)).toBeLessThan(1.2 * 1024 * 1024);
      expect(Object.keys(JSON.parse(synced).rooms.invite)).toHaveLength(taken.length);
      const other = await invite(stranger, '11', `!other:${stranger.name}` as RoomId);
      expect(other.status).toBe(200);
      // Who answers has room again.
      for (const { roomId } of waiting.slice(0, 2)) await here.rooms.membership.leave(bob, roomId);
      const again = await invite(peer, '11', `!again:${peer.name}` as RoomId, [entry]);
      expect(again.status).toBe(200);
    }, 60_000);

    it('are refused when too many wait, whoever sends them', async () => {
      await here.core.database.query({
        text: `INSERT INTO outside_memberships
            (user_id, room_nid, event_nid, server, room_version, bytes, received_at_ms)
          SELECT $1, -n, -n, 'server' || n, '11', 100, $2 FROM generate_series(1, 500) AS n`,
        values: [bob, network.clock.nowMs()],
      });
      await here.core.database.query({
        text: `INSERT INTO user_rooms
            (user_id, room_nid, membership, event_nid, stream_pos, membership_pos)
          SELECT $1, -n, 'invite', -n, 0, 0 FROM generate_series(1, 500) AS n`,
        values: [bob],
      });
      const refused = await invite(stranger, '11', `!full:${stranger.name}` as RoomId);
      expect([refused.status, refused.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
    });

    it('are refused when one server has sent too many, whomever they are for', async () => {
      const peer = await network.peer();
      await here.core.database.query({
        text: `INSERT INTO outside_memberships
            (user_id, room_nid, event_nid, server, room_version, bytes, received_at_ms)
          SELECT '@' || n, -n, -n, $1, '11', 100, $2 FROM generate_series(1, 20000) AS n`,
        values: [peer.name, network.clock.nowMs()],
      });
      const refused = await invite(peer, '11', `!much:${peer.name}` as RoomId);
      expect([refused.status, refused.body.errcode]).toEqual([403, 'M_FORBIDDEN']);
      network.clock.advance(8 * 24 * 60 * 60_000);
      expect((await invite(peer, '11', `!later:${peer.name}` as RoomId)).status).toBe(200);
    });
  });

  describe('taken back', () => {
    const send = async (peer: RoomPeer, pdu: JsonObject) =>
      (
        await peer.ask(here.name, 'PUT', `/_matrix/federation/v1/send/${randomUUID()}`, {
          origin: peer.name,
          pdus: [pdu],
        })
      ).body.pdus as Record<string, { error?: string }>;

    it.each(['1', '11'])('are so by whoever sent them alone, in version %s', async (version) => {
      const roomId = `!back${version}:${stranger.name}` as RoomId;
      const creator = stranger.user('creator');
      const create = {
        type: 'm.room.create',
        state_key: '',
        sender: creator,
        content: { room_version: version },
      };
      await invite(stranger, version, roomId, [create]);
      for (const sender of [creator, stranger.user('neighbour')]) {
        const { event, pdu } = memberEvent(stranger, version, roomId, 'leave', sender);
        expect((await send(stranger, pdu))[event.eventId]?.error).toBeDefined();
        expect((await standing(roomId))?.membership).toBe('invite');
      }
      const { event, pdu } = memberEvent(stranger, version, roomId, 'leave');
      expect(await send(stranger, pdu)).toEqual({ [event.eventId]: {} });
      expect((await standing(roomId))?.membership).toBe('leave');
    });

    it('are so by creators too where these may do anything', async () => {
      const room = stranger.buildRoom({ version: '12', name: randomUUID() });
      const state = room.timeline.slice(0, 4).map((one) => room.json.get(one.eventId) as string);
      const answer = await invite(
        stranger,
        '12',
        room.roomId,
        state.map((json) => JSON.parse(json) as JsonObject),
      );
      expect(answer.status).toBe(200);
      const by = (sender: UserId) => memberEvent(stranger, '12', room.roomId, 'ban', sender);
      const refused = by(stranger.user('neighbour'));
      expect((await send(stranger, refused.pdu))[refused.event.eventId]?.error).toBeDefined();
      const { event, pdu } = by(room.creator);
      expect(await send(stranger, pdu)).toEqual({ [event.eventId]: {} });
      expect((await standing(room.roomId))?.membership).toBe('ban');
    });
  });

  it('to rooms whose create event must be told are refused without it', async () => {
    const room = stranger.buildRoom({ version: '12', name: randomUUID() });
    const refused = await invite(stranger, '12', room.roomId);
    expect([refused.status, refused.body.errcode]).toEqual([400, 'M_MISSING_PARAM']);
  });
});
