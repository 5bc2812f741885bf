import { randomUUID } from 'node:crypto';
import { strippedJson } from '../../homeserver/rooms/stripped-state.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { RoomBuilder } from '../../spec/testing/room-builder.ts';
import { until } from '../testing/memory-log.ts';
import { pduOf, type RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

interface Standing {
  readonly membership: string | undefined;
  /** Types of the stripped state. */
  readonly shown: string[];
}

/** What a user has to do with a room that their server may not be in. */
const standing = async (
  server: NetworkServer,
  user: UserId,
  roomId: RoomId,
): Promise<Standing | undefined> => {
  for (const room of (await server.core.userRooms.of(user)).values()) {
    if (room.roomId !== roomId) continue;
    const events = JSON.parse(room.strippedState ?? '[]') as { type: string }[];
    return { membership: room.membership, shown: events.map(({ type }) => type) };
  }
  return undefined;
};

describe('rooms this server is not in', () => {
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

  const create = (version: string, wanted: JsonObject = {}) =>
    here.rooms.roomCreator.create(alice, { preset: 'private_chat', version, ...wanted });

  describe('invites', () => {
    it.each(['1', '6', '10', '11', '12'])('arrive in version %s', async (version) => {
      const roomId = await create(version, { name: 'The room' });
      await here.rooms.membership.invite(alice, roomId, bob);
      expect(await here.membership(bob, roomId)).toBe('invite');
      const invited = await standing(there, bob, roomId);
      expect(invited?.membership).toBe('invite');
      expect(invited?.shown).toEqual(
        expect.arrayContaining(['m.room.create', 'm.room.name', 'm.room.join_rules']),
      );
      expect(invited?.shown.at(-1)).toBe('m.room.member');
      await there.rooms.membership.join(bob, roomId, {});
      expect(await here.membership(bob, roomId)).toBe('join');
      expect(await there.state(roomId)).toEqual(await here.state(roomId));
    });

    it('carry the signatures of both servers', async () => {
      const roomId = await create('12');
      await here.rooms.membership.invite(alice, roomId, bob);
      const member = (await here.core.registry.find(roomId))?.stateRef('m.room.member', bob);
      const event = (await here.core.events.byId(member?.eventId as never))?.event;
      expect(Object.keys(event?.pdu.signatures ?? {}).sort()).toEqual(
        [here.name, there.name].sort(),
      );
    });

    it.each(['1', '11', '12'])('can be rejected in version %s', async (version) => {
      const roomId = await create(version);
      await here.rooms.membership.invite(alice, roomId, bob);
      await there.rooms.membership.leave(bob, roomId, 'no time');
      expect((await standing(there, bob, roomId))?.membership).toBe('leave');
      expect(await here.membership(bob, roomId)).toBe('leave');
    });

    it('can be rejected when nobody answers any more', async () => {
      const peer = await network.peer();
      const room = peer.buildRoom();
      await invite(peer, room);
      await peer.stop();
      await there.rooms.membership.leave(bob, room.roomId);
      expect((await standing(there, bob, room.roomId))?.membership).toBe('leave');
    });

    it('come again after they were rejected', async () => {
      const roomId = await create('12');
      for (let count = 0; count < 2; count += 1) {
        await here.rooms.membership.invite(alice, roomId, bob);
        expect((await standing(there, bob, roomId))?.membership).toBe('invite');
        await there.rooms.membership.leave(bob, roomId);
        expect((await standing(there, bob, roomId))?.membership).toBe('leave');
      }
    });

    it('are refused by those who want none', async () => {
      await there.core.accountData.put(bob, undefined, 'm.invite_permission_config', {
        default_action: 'block',
      });
      const roomId = await create('12');
      const invited = here.rooms.membership.invite(alice, roomId, bob);
      await expect(invited).rejects.toMatchObject({ errcode: 'M_INVITE_BLOCKED' });
      expect(await here.membership(bob, roomId)).toBeUndefined();
    });

    it('are refused for people who are not there', async () => {
      const roomId = await create('12');
      const nobody = `@nobody:${there.name}` as UserId;
      const invited = here.rooms.membership.invite(alice, roomId, nobody);
      await expect(invited).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    });

    const inviteOf = (room: RoomBuilder, fields: JsonObject = {}): MatrixEvent =>
      room.member(bob, 'invite', { sender: room.creator, ...fields });
    const stateOf = (room: RoomBuilder): JsonObject[] =>
      room.timeline.slice(0, 4).map((event) => pduOf(room, event));
    const invite = async (
      peer: RoomPeer,
      room: RoomBuilder,
      change: (body: JsonObject, event: MatrixEvent) => JsonObject = (body) => body,
      event = inviteOf(room),
    ) => {
      const body = change(
        {
          room_version: room.rules.version,
          event: pduOf(room, event),
          invite_room_state: stateOf(room),
        },
        event,
      );
      const path = `/_matrix/federation/v2/invite/${encodeURIComponent(room.roomId)}`;
      return peer.ask(there.name, 'PUT', `${path}/${encodeURIComponent(event.eventId)}`, body);
    };

    it('are not signed when they are something else', async () => {
      const peer = await network.peer();
      const room = peer.buildRoom();
      const other = peer.buildRoom({ name: 'other' });
      const asked = [
        invite(peer, room, undefined, room.message(room.creator)),
        invite(peer, room, undefined, room.member(bob, 'ban', { sender: room.creator })),
        invite(peer, room, undefined, room.member(alice, 'invite', { sender: room.creator })),
        invite(peer, room, (body) => ({ ...body, event: pduOf(other, inviteOf(other)) })),
        invite(peer, room, (body) => ({
          ...body,
          event: { ...(body['event'] as JsonObject), depth: 99 },
        })),
        invite(peer, room, (body) => ({
          ...body,
          event: { ...(body['event'] as JsonObject), content: { membership: 'invite', more: 1 } },
        })),
      ];
      for (const answer of await Promise.all(asked)) {
        expect([answer.status, answer.body.errcode]).toEqual([400, 'M_INVALID_PARAM']);
      }
      const changed = async (fields: JsonObject) => {
        const { status, body } = await invite(peer, room, (sent) => ({
          ...sent,
          event: { ...(sent['event'] as JsonObject), ...fields },
        }));
        return [status, body.errcode];
      };
      expect(await changed({ content: 'none' })).toEqual([400, 'M_BAD_JSON']);
      expect(await changed({ signatures: {} })).toEqual([403, 'M_INVALID_PARAM']);
      expect(await changed({ signatures: { [peer.name]: { 'ed25519:x': 'aa' } } })).toEqual([
        403,
        'M_INVALID_PARAM',
      ]);
      const replayed = await invite(await network.peer(), room);
      expect([replayed.status, replayed.body.errcode]).toEqual([403, 'M_INVALID_PARAM']);
      expect(await standing(there, bob, room.roomId)).toBeUndefined();
    });

    it('of unknown room versions are refused', async () => {
      const peer = await network.peer();
      const { status, body } = await invite(peer, peer.buildRoom(), (sent) => ({
        ...sent,
        room_version: '999',
      }));
      expect([status, body.errcode, body.room_version]).toEqual([
        400,
        'M_INCOMPATIBLE_ROOM_VERSION',
        '999',
      ]);
    });

    it.each(['11', '12'])('come with the state of the room in version %s', async (version) => {
      const peer = await network.peer();
      const isStrict = version === '12';
      const states: ((room: RoomBuilder) => unknown)[] = [
        () => undefined,
        () => [],
        (room) => stateOf(room).slice(1),
        (room) => room.timeline.slice(0, 4).map((event) => JSON.parse(strippedJson(event))),
        (room) => stateOf(room).map((pdu) => ({ ...pdu, origin_server_ts: 5 })),
        () => stateOf(peer.buildRoom({ version, name: 'other' })),
      ];
      for (const [index, stateFor] of states.entries()) {
        const room = peer.buildRoom({ version, name: `room-${index}` });
        const answer = await invite(peer, room, ({ invite_room_state: _, ...body }) => {
          const state = stateFor(room) as JsonObject[] | undefined;
          return state === undefined ? body : { ...body, invite_room_state: state };
        });
        expect(answer.status).toBe(isStrict ? 400 : 200);
        const shown = await standing(there, bob, room.roomId);
        expect(shown?.membership).toBe(isStrict ? undefined : 'invite');
        // Only what is signed, or says no more than a stripped event may, is shown to anyone.
        if (!isStrict) expect(shown?.shown).toHaveLength([1, 1, 4, 5, 1, 1][index] as number);
      }
    });

    it('of older servers come by the first version of the API', async () => {
      const peer = await network.peer();
      const room = peer.buildRoom({ version: '1' });
      const event = inviteOf(room);
      const stripped = room.timeline.slice(0, 2).map((one) => JSON.parse(strippedJson(one)));
      const path = `/_matrix/federation/v1/invite/${encodeURIComponent(room.roomId)}`;
      const { status, body } = await peer.ask(
        there.name,
        'PUT',
        `${path}/${encodeURIComponent(event.eventId)}`,
        { ...pduOf(room, event), unsigned: { invite_room_state: stripped } },
      );
      expect([status, body[0]]).toEqual([200, 200]);
      expect(Object.keys(body[1].event.signatures)).toContain(there.name);
      expect((await standing(there, bob, room.roomId))?.membership).toBe('invite');
    });

    it('to older servers go by the first version of the API', async () => {
      const peer = await network.peer();
      const roomId = await create('1');
      const invitee = peer.user('invitee');
      peer.on(/^PUT \/_matrix\/federation\/v1\/invite\//, ({ text }) => {
        const event = JSON.parse(text) as JsonObject;
        const { invite_room_state: state } = event['unsigned'] as JsonObject;
        expect((state as JsonObject[]).map(({ type }) => type)).toContain('m.room.create');
        return { status: 200, body: JSON.stringify([200, { event: peer.sign(event, '1') }]) };
      });
      await here.rooms.membership.invite(alice, roomId, invitee);
      expect(await here.membership(invitee, roomId)).toBe('invite');
      expect(peer.received.map(({ url }) => url.split('/')[3])).toEqual(['v2', 'v1']);
    });

    it('are not sent when the other server does not sign', async () => {
      const peer = await network.peer();
      const roomId = await create('12');
      peer.on(/^PUT \/_matrix\/federation\/v2\/invite\//, ({ text }) => ({
        event: (JSON.parse(text) as { event: JsonObject }).event,
      }));
      const invited = here.rooms.membership.invite(alice, roomId, peer.user('invitee'));
      await expect(invited).rejects.toMatchObject({ errcode: 'M_UNKNOWN', status: 502 });
      expect(await here.membership(peer.user('invitee'), roomId)).toBeUndefined();
    });

    it('are taken back by the server that sent them, and by no other', async () => {
      const [peer, mallory] = [await network.peer(), await network.peer()];
      const room = peer.buildRoom({ version: '11' });
      await invite(peer, room);
      const send = (from: RoomPeer, pdu: JsonObject) =>
        from.ask(there.name, 'PUT', `/_matrix/federation/v1/send/${randomUUID()}`, {
          origin: from.name,
          pdus: [pdu],
        });
      const forged = room.member(bob, 'leave', { sender: mallory.user('mallory') });
      const refused = await send(mallory, pduOf(room, forged));
      expect(refused.body.pdus[forged.eventId].error).toBeDefined();
      expect((await standing(there, bob, room.roomId))?.membership).toBe('invite');
      const kick = room.member(bob, 'leave', { sender: room.creator });
      expect((await send(peer, pduOf(room, kick))).body.pdus).toEqual({ [kick.eventId]: {} });
      expect((await standing(there, bob, room.roomId))?.membership).toBe('leave');
    });
  });

  describe('knocks', () => {
    const knockable = (version: string) =>
      create(version, {
        name: 'Knock here',
        initialState: [
          { type: 'm.room.join_rules', stateKey: '', content: { join_rule: 'knock' } },
        ],
      });

    it.each(['7', '10', '12'])('are heard in version %s', async (version) => {
      const roomId = await knockable(version);
      await there.rooms.membership.knock(bob, roomId, { via: [here.name], reason: 'please' });
      expect(await here.membership(bob, roomId)).toBe('knock');
      const knocking = await standing(there, bob, roomId);
      expect(knocking?.membership).toBe('knock');
      expect(knocking?.shown).toEqual(expect.arrayContaining(['m.room.create', 'm.room.name']));
      // And answered.
      await here.rooms.membership.invite(alice, roomId, bob);
      await until(async () => (await standing(there, bob, roomId))?.membership === 'invite');
      await there.rooms.membership.join(bob, roomId, {});
      expect(await here.membership(bob, roomId)).toBe('join');
    });

    it('can be taken back', async () => {
      const roomId = await knockable('12');
      await there.rooms.membership.knock(bob, roomId, { via: [here.name] });
      await there.rooms.membership.leave(bob, roomId);
      expect(await here.membership(bob, roomId)).toBe('leave');
      expect((await standing(there, bob, roomId))?.membership).toBe('leave');
    });

    it('are refused where nobody may knock', async () => {
      const roomId = await create('12');
      const knock = there.rooms.membership.knock(bob, roomId, { via: [here.name] });
      await expect(knock).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
      expect(await standing(there, bob, roomId)).toBeUndefined();
    });
  });
});
