import { randomUUID } from 'node:crypto';
import { hashAndSignPdu } from '../../spec/build-event.ts';
import type { JsonObject } from '../../spec/event.ts';
import { parsePdu } from '../../spec/event-format.ts';
import type { RoomAlias, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import type { RoomBuilder } from '../../spec/testing/room-builder.ts';
import { until } from '../testing/memory-log.ts';
import { pduOf, type RoomPeer } from '../testing/room-peer.ts';
import { type NetworkServer, TestNetwork } from '../testing/test-network.ts';

describe('joining a room of another server', () => {
  let network: TestNetwork;
  let here: NetworkServer;
  let there: NetworkServer;
  let alice: UserId;

  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    there = await network.server();
    alice = await here.user('alice');
  });
  afterAll(() => network.close());

  const freshUser = (server: NetworkServer): Promise<UserId> => server.user(randomUUID());
  const join = (user: UserId, roomId: RoomId, ...via: ServerName[]) =>
    there.rooms.membership.join(user, roomId, { via });

  it.each(['1', '3', '6', '10', '11', '12'])('works in version %s', async (version) => {
    const bob = await freshUser(there);
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat', version });
    await here.say(alice, roomId, 'before');
    expect(await join(bob, roomId, here.name)).toBe(roomId);

    expect(await here.membership(bob, roomId)).toBe('join');
    expect(await there.membership(bob, roomId)).toBe('join');
    expect(await there.state(roomId)).toEqual(await here.state(roomId));
    await there.say(bob, roomId, 'from bob');
    await here.say(alice, roomId, 'from alice');
    const wanted = (texts: string[]) => texts.includes('from bob') && texts.includes('from alice');
    await until(async () => wanted(await here.messages(alice, roomId)));
    await until(async () => wanted(await there.messages(bob, roomId)));
    // History from before the join comes from the other server.
    expect(await there.messages(bob, roomId)).toContain('before');
    expect(await there.state(roomId)).toEqual(await here.state(roomId));
  });

  it('is told to the other servers by the one that let it happen', async () => {
    const elsewhere = await network.server();
    const [bob, carol] = [await freshUser(there), await freshUser(elsewhere)];
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    await elsewhere.rooms.membership.join(carol, roomId, { via: [here.name] });
    await join(bob, roomId, here.name);
    await until(async () => (await elsewhere.membership(bob, roomId)) === 'join');
    expect(await elsewhere.state(roomId)).toEqual(await here.state(roomId));
  });

  it('goes by the alias of a room', async () => {
    const bob = await freshUser(there);
    const roomId = await here.rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      aliasName: 'lobby',
    });
    const locate = (name: string) =>
      there.rooms.roomAliases.locate(`#${name}:${here.name}` as RoomAlias, bob);
    const { servers, ...found } = await locate('lobby');
    expect(found).toEqual({ roomId });
    await there.rooms.membership.join(bob, roomId, { via: servers });
    expect(await there.membership(bob, roomId)).toBe('join');
    await expect(locate('none')).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' });
  });

  it('comes back to a room left before', async () => {
    const bob = await freshUser(there);
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    await join(bob, roomId, here.name);
    await there.rooms.membership.leave(bob, roomId);
    await until(async () => (await here.membership(bob, roomId)) === 'leave');
    await here.say(alice, roomId, 'while away');
    await join(bob, roomId, here.name);
    expect(await there.state(roomId)).toEqual(await here.state(roomId));
    await here.say(alice, roomId, 'welcome back');
    await until(async () => (await there.messages(bob, roomId)).includes('welcome back'));
    expect(await there.messages(bob, roomId)).toContain('while away');
  });

  it('of several at once ends with all of them in', async () => {
    const people = await Promise.all(Array.from({ length: 4 }, () => freshUser(there)));
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    await Promise.all(people.map((user) => join(user, roomId, here.name)));
    for (const user of people) {
      expect(await here.membership(user, roomId)).toBe('join');
      await until(async () => (await there.membership(user, roomId)) === 'join');
    }
  });

  it('takes the next server when one does not help', async () => {
    const bob = await freshUser(there);
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    const useless = await network.peer();
    await join(bob, roomId, '127.0.0.1:1' as ServerName, useless.name, here.name);
    expect(await there.membership(bob, roomId)).toBe('join');
    expect(useless.received[0]?.url).toContain('make_join');
  });

  it('takes no longer than it may, and one server no longer than a request', async () => {
    const hasty = await network.server({ request_timeout_ms: 300, join_timeout_ms: 1000 });
    const bob = await freshUser(hasty);
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
    const silent = await Promise.all(Array.from({ length: 5 }, () => network.peer()));
    for (const peer of silent) peer.on(/make_join/, () => new Promise(() => undefined));
    const names = silent.map(({ name }) => name);
    const joined = hasty.rooms.membership.join(bob, roomId, { via: names });
    await expect(joined).rejects.toMatchObject({ errcode: 'M_UNKNOWN', status: 502 });
    expect(silent.at(0)?.received).toHaveLength(1);
    expect(silent.at(-1)?.received).toEqual([]);
    const via = [names[0] as ServerName, here.name];
    await hasty.rooms.membership.join(bob, roomId, { via });
    expect(await hasty.membership(bob, roomId)).toBe('join');
  });

  it('is refused to those who may not', async () => {
    const bob = await freshUser(there);
    const roomId = await here.rooms.roomCreator.create(alice, { preset: 'private_chat' });
    await expect(join(bob, roomId, here.name)).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    const unknown = `!unknown:${here.name}` as RoomId;
    await expect(join(bob, unknown, here.name)).rejects.toMatchObject({ errcode: 'M_NOT_FOUND' });
    expect(await there.membership(bob, roomId)).toBeUndefined();
  });

  it('is open to servers of an older make, and so is leaving', async () => {
    const peer = await network.peer();
    const roomId = await here.rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      version: '10',
    });
    const rules = rulesOf('10') as RoomVersionRules;
    for (const membership of ['join', 'leave']) {
      const path = (verb: string, last: string) =>
        `/_matrix/federation/v1/${verb}_${membership}/${encodeURIComponent(roomId)}/${encodeURIComponent(last)}`;
      const query = membership === 'join' ? '?ver=10' : '';
      const made = await peer.ask(here.name, 'GET', path('make', peer.user('dan')) + query);
      const pdu = hashAndSignPdu(made.body.event, rules, peer.name, peer.peer.key);
      const { eventId } = parsePdu(pdu, rules);
      const sent = await peer.ask(here.name, 'PUT', path('send', eventId), pdu as never);
      expect([sent.status, sent.body[0]]).toEqual([200, 200]);
      if (membership === 'join') expect(sent.body[1].state.length).toBeGreaterThan(3);
      expect(await here.membership(peer.user('dan'), roomId)).toBe(membership);
    }
  });

  describe('that is restricted', () => {
    let roomId: RoomId;
    let club: RoomId;

    beforeEach(async () => {
      club = await here.rooms.roomCreator.create(alice, { preset: 'public_chat' });
      roomId = await here.rooms.roomCreator.create(alice, {
        version: '10',
        powerLevelOverride: { invite: 50 },
        initialState: [
          {
            type: 'm.room.join_rules',
            stateKey: '',
            content: {
              join_rule: 'restricted',
              allow: [{ type: 'm.room_membership', room_id: club }],
            },
          },
        ],
      });
    });

    it('is open to members of the other room', async () => {
      const bob = await freshUser(there);
      await join(bob, club, here.name);
      await join(bob, roomId, here.name);
      const member = (await there.core.registry.find(roomId))?.stateRef('m.room.member', bob);
      const event = (await there.core.events.byId(member?.eventId as never))?.event;
      expect(event?.content['join_authorised_via_users_server']).toBe(alice);
      expect(Object.keys(event?.pdu.signatures ?? {}).sort()).toEqual(
        [here.name, there.name].sort(),
      );
      expect(await there.state(roomId)).toEqual(await here.state(roomId));
    });

    it('is closed to others', async () => {
      const bob = await freshUser(there);
      await expect(join(bob, roomId, here.name)).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
    });

    it('lets in who has been invited', async () => {
      const bob = await freshUser(there);
      await here.rooms.membership.invite(alice, roomId, bob);
      await join(bob, roomId, here.name);
      expect(await here.membership(bob, roomId)).toBe('join');
    });

    it('is authorised only by servers that can tell', async () => {
      const [bob, carol] = [await freshUser(there), await freshUser(there)];
      await join(bob, club, here.name);
      await join(bob, roomId, here.name);
      const elsewhere = await network.server();
      const dave = await freshUser(elsewhere);
      const ask = () =>
        elsewhere.federation.remoteRooms.join({
          userId: dave,
          roomId,
          servers: [there.name],
          content: { membership: 'join' },
        });
      // Bob may not invite, so his server cannot let anyone in ...
      await elsewhere.rooms.membership.join(dave, club, { via: [here.name] });
      await until(async () => (await there.membership(dave, club)) === 'join');
      await expect(ask()).rejects.toMatchObject({ errcode: 'M_UNABLE_TO_GRANT_JOIN' });
      // ... and out of the club it cannot tell who is in it.
      await there.rooms.membership.leave(bob, club);
      await expect(ask()).rejects.toMatchObject({ errcode: 'M_UNABLE_TO_AUTHORISE_JOIN' });
      expect(await there.membership(carol, club)).toBeUndefined();
    });

    it('goes through another server when this one is in the room but may not let anyone in', async () => {
      const [bob, carol] = [await freshUser(there), await freshUser(there)];
      for (const user of [bob, carol]) await join(user, club, here.name);
      await join(bob, roomId, here.name);
      await join(carol, roomId);
      expect(await there.membership(carol, roomId)).toBe('join');
      expect(await here.membership(carol, roomId)).toBe('join');
      await there.say(carol, roomId, 'made it');
      await until(async () => (await here.messages(alice, roomId)).includes('made it'));
    });
  });

  describe('through a server that is up to something', () => {
    let peer: RoomPeer;
    let room: RoomBuilder;
    let bob: UserId;
    let template: JsonObject;
    let answer: (event: JsonObject) => JsonObject;

    beforeEach(async () => {
      peer = await network.peer();
      bob = await freshUser(there);
      room = peer.buildRoom({ version: '11' });
      const [tip] = room.extremities;
      const auth = ['m.room.create', 'm.room.power_levels', 'm.room.join_rules'].map(
        (type) => room.lookup()(type, '')?.eventId as string,
      );
      template = {
        type: 'm.room.member',
        room_id: room.roomId,
        sender: bob,
        state_key: bob,
        content: { membership: 'join' },
        depth: 10,
        origin_server_ts: 1,
        auth_events: auth,
        prev_events: [tip?.eventId as string],
      };
      const pdus = room.timeline.map((event) => pduOf(room, event));
      answer = (event) => ({ state: pdus, auth_chain: pdus, event });
      peer.on(/^GET \/_matrix\/federation\/v1\/make_join\//, () => ({
        room_version: '11',
        event: template,
      }));
      peer.on(/^PUT \/_matrix\/federation\/v2\/send_join\//, ({ text }) =>
        answer(JSON.parse(text) as JsonObject),
      );
    });

    const attempt = () => join(bob, room.roomId, peer.name);
    const expectFailure = async (errcode: string): Promise<void> => {
      await expect(attempt()).rejects.toMatchObject({ errcode });
      expect((await there.core.registry.find(room.roomId)) === undefined).toBe(true);
    };

    it('works if it is not', async () => {
      await attempt();
      expect(await there.membership(bob, room.roomId)).toBe('join');
    });

    it.each<[string, JsonObject]>([
      ['another type', { type: 'm.room.power_levels' }],
      ['another room', { room_id: '!other:elsewhere.test' }],
      ['another sender', { sender: '@mallory:elsewhere.test' }],
      ['another target', { state_key: '@mallory:elsewhere.test' }],
      ['another membership', { content: { membership: 'leave' } }],
      ['references that are none', { prev_events: [5] }],
      ['a depth that is none', { depth: 'deep' }],
    ])('is not signed for: %s', async (_, fields) => {
      template = { ...template, ...fields };
      await expectFailure('M_UNKNOWN');
      expect(peer.received.map(({ method }) => method)).toEqual(['GET']);
    });

    it('signs nothing of the content but what it wants itself', async () => {
      template['content'] = { membership: 'join', displayname: 'Mallory', 'evil.key': true };
      await attempt();
      const sent = JSON.parse(peer.received.at(-1)?.text ?? '{}') as JsonObject;
      expect(sent['content']).toEqual({ membership: 'join' });
    });

    it('fails with an unknown room version', async () => {
      peer.on(/make_join/, () => ({ room_version: '999', event: template }));
      await expectFailure('M_INCOMPATIBLE_ROOM_VERSION');
    });

    it('fails when the create event says another version', async () => {
      const other = peer.buildRoom({ version: '10' });
      const pdus = other.timeline.map((event) => pduOf(other, event));
      answer = () => ({ state: pdus, auth_chain: pdus });
      await expectFailure('M_UNKNOWN');
    });

    it('fails without the create event', async () => {
      answer = () => {
        const pdus = room.timeline.slice(1).map((event) => pduOf(room, event));
        return { state: pdus, auth_chain: [] };
      };
      await expectFailure('M_UNKNOWN');
    });

    it('fails where the room’s own server lets in whom nobody vouches for, after others refused', async () => {
      room.setState('m.room.join_rules', { join_rule: 'restricted', allow: [] });
      const members = peer.user('member');
      room.setState('m.room.power_levels', { users: { [room.creator]: 100 }, invite: 50 });
      room.setState('m.room.join_rules', { join_rule: 'public' });
      room.member(members, 'join');
      room.setState('m.room.join_rules', { join_rule: 'restricted', allow: [] });
      const state = [...room.stateAfter().values()].map((eventId) =>
        pduOf(room, room.events.get(eventId) as never),
      );
      const asked = await network.peer();
      asked.on(/make_join/, () => ({ status: 403, body: '{"errcode":"M_FORBIDDEN"}' }));
      // Nobody, someone who may not invite, and someone whose server did not sign.
      for (const authoriser of [undefined, members, asked.user('anyone')]) {
        const auth = ['m.room.create', 'm.room.power_levels', 'm.room.join_rules'].map(
          (type) => room.lookup()(type, '')?.eventId as string,
        );
        const vouching = room.lookup()('m.room.member', authoriser ?? '')?.eventId;
        template = {
          ...template,
          auth_events: vouching === undefined ? auth : [...auth, vouching],
          content: {
            membership: 'join',
            ...(authoriser !== undefined && { join_authorised_via_users_server: authoriser }),
          },
        };
        answer = (event) => ({
          state,
          auth_chain: room.timeline.map((one) => pduOf(room, one)),
          event: peer.sign(event, '11'),
        });
        const joining = join(bob, room.roomId, asked.name);
        await expect(joining).rejects.toMatchObject({ errcode: 'M_FORBIDDEN' });
        expect(await there.membership(bob, room.roomId)).toBeUndefined();
      }
      expect(asked.received).toHaveLength(3);
    });

    it('fails when the state does not allow it', async () => {
      room.setState('m.room.join_rules', { join_rule: 'invite' });
      const state = [...room.stateAfter().values()].map((eventId) =>
        pduOf(room, room.events.get(eventId) as never),
      );
      answer = () => ({ state, auth_chain: room.timeline.map((event) => pduOf(room, event)) });
      await expectFailure('M_FORBIDDEN');
    });

    it('that is of an older make works too', async () => {
      peer.on(/^PUT .*\/v2\/send_join\//, () => ({ status: 404, body: '' }));
      peer.on(/^PUT .*\/v1\/send_join\//, ({ text }) => ({
        status: 200,
        body: JSON.stringify([200, answer(JSON.parse(text) as JsonObject)]),
      }));
      await attempt();
      expect(await there.membership(bob, room.roomId)).toBe('join');
    });

    it('fails at once when an older make answers nonsense', async () => {
      peer.on(/^PUT .*\/v2\/send_join\//, () => ({ status: 404, body: '' }));
      for (const body of ['', '{}', '[200]', '[200, {"state": [], "auth_chain": []}]']) {
        peer.on(/^PUT .*\/v1\/send_join\//, () => ({ status: 200, body }));
        await expectFailure('M_UNKNOWN');
      }
    });

    it('does not count forged events', async () => {
      const pdus = room.timeline.map((event) => pduOf(room, event));
      const forged = { ...pdus.at(-1), content: { join_rule: 'public' }, origin_server_ts: 5 };
      answer = () => ({ state: [...pdus, forged, null, 'x'], auth_chain: pdus });
      await attempt();
      const rules = (await there.core.registry.find(room.roomId))?.stateRef(
        'm.room.join_rules',
        '',
      );
      expect(rules?.eventId).toBe(room.lookup()('m.room.join_rules', '')?.eventId);
    });

    it('fails when members are left out unasked', async () => {
      const whole = answer;
      answer = (event) => ({ ...whole(event), members_omitted: true });
      await expectFailure('M_UNKNOWN');
    });

    it('fails when the authorising server has not signed', async () => {
      template['content'] = {
        membership: 'join',
        join_authorised_via_users_server: room.creator,
      };
      await expectFailure('M_UNKNOWN');
    });

    it('tells the person why, but not what is between the servers', async () => {
      const refuse = (status: number, errcode: string) =>
        peer.on(/make_join/, () => ({ status, body: JSON.stringify({ errcode, error: 'No' }) }));
      refuse(400, 'M_UNABLE_TO_AUTHORISE_JOIN');
      await expectFailure('M_UNABLE_TO_AUTHORISE_JOIN');
      refuse(400, 'ORG.EXAMPLE_FULL_MOON');
      await expect(attempt()).rejects.toMatchObject({
        errcode: 'ORG.EXAMPLE_FULL_MOON',
        status: 400,
      });
      for (const [status, errcode] of [
        [401, 'M_UNAUTHORIZED'],
        [403, 'M_UNKNOWN_TOKEN'],
        [404, 'M_UNRECOGNIZED'],
        [500, 'M_INVALID_PARAM'],
      ] as const) {
        refuse(status, errcode);
        await expect(attempt()).rejects.toMatchObject({ errcode: 'M_UNKNOWN', status: 502 });
      }
    });
  });
});
