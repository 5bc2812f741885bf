import type { RoomId } from '../../../spec/identifiers.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
let carol: Person;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob, carol] = ['alice', 'bob', 'carol'].map(test.person) as [Person, Person, Person];
});
afterAll(() => test.stop());

const membershipOf = async (roomId: RoomId, person: Person): Promise<string | undefined> =>
  (await test.core.registry.find(roomId))?.membership(person.userId);

const memberContent = async (roomId: RoomId, person: Person) =>
  (await alice.get(`/rooms/${idsIn(roomId)}/state/m.room.member/${person.userId}`)).body;

const unknownRoom = '!nowhere:here.test' as RoomId;

describe('joining', () => {
  it('enters a public room by id or by alias, with a reason, once', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat', room_alias_name: 'open' });
    const joined = await bob.post(`/rooms/${idsIn(roomId)}/join`, { reason: 'hello' });
    expect(joined).toMatchObject({ status: 200, body: { room_id: roomId } });
    expect(await memberContent(roomId, bob)).toEqual({ membership: 'join', reason: 'hello' });
    const byAlias = await carol.post('/join/%23open:here.test', {});
    expect(byAlias).toMatchObject({ status: 200, body: { room_id: roomId } });
    const before = test.core.log.position;
    const again = await bob.post(`/join/${idsIn(roomId)}`, {});
    expect(again).toMatchObject({ status: 200, body: { room_id: roomId } });
    expect(test.core.log.position).toBe(before);
  });

  it('refuses the uninvited, the banned, and rooms that are not', async () => {
    const closed = await alice.createRoom({});
    expect(await bob.post(`/rooms/${idsIn(closed)}/join`, {})).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    const open = await alice.createRoom();
    await alice.post(`/rooms/${idsIn(open)}/ban`, { user_id: bob.userId });
    expect((await bob.post(`/rooms/${idsIn(open)}/join`, {})).body.errcode).toBe('M_FORBIDDEN');
    expect((await bob.post(`/rooms/${idsIn(unknownRoom)}/join`, {})).status).toBe(404);
    expect((await bob.post('/join/%23nothing:here.test', {})).body.errcode).toBe('M_NOT_FOUND');
    expect((await bob.post('/join/nonsense', {})).body.errcode).toBe('M_INVALID_PARAM');
  });

  it('lets members of an allowed room into a restricted one', async () => {
    const club = await alice.createRoom();
    const roomId = await alice.createRoom({
      initial_state: [
        {
          type: 'm.room.join_rules',
          content: {
            join_rule: 'restricted',
            allow: [{ type: 'm.room_membership', room_id: club }],
          },
        },
      ],
    });
    expect((await bob.post(`/rooms/${idsIn(roomId)}/join`, {})).status).toBe(403);
    await bob.join(club);
    await bob.join(roomId);
    expect(await memberContent(roomId, bob)).toEqual({
      membership: 'join',
      join_authorised_via_users_server: alice.userId,
    });
  });

  it('lets nobody name who vouches for them', async () => {
    const roomId = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(roomId);
    const join_authorised_via_users_server = '@nobody:elsewhere.test';
    const path = `/rooms/${idsIn(roomId)}/state/m.room.member/${bob.userId}`;
    const content = { membership: 'join', displayname: 'Robert' };
    const answer = await bob.put(path, { ...content, join_authorised_via_users_server });
    expect(answer.status).toBe(200);
    expect(await memberContent(roomId, bob)).toEqual(content);
  });

  it('carries the profile', async () => {
    await test.core.database.query({
      text: `INSERT INTO profile_fields VALUES ($1, 'displayname', '"Dave"')`,
      values: ['@dave:here.test'],
    });
    const dave = test.person('dave');
    const roomId = await alice.createRoom();
    await dave.join(roomId);
    expect(await memberContent(roomId, dave)).toEqual({ membership: 'join', displayname: 'Dave' });
    const joined = await dave.get(`/rooms/${idsIn(roomId)}/joined_members`);
    expect(joined.body.joined).toEqual({
      [alice.userId]: {},
      [dave.userId]: { display_name: 'Dave' },
    });
    await test.core.database.query({
      text: `UPDATE profile_fields SET value = '"David"' WHERE user_id = $1`,
      values: [dave.userId],
    });
    await test.rooms.memberUpkeep.profileChanged(dave.userId, {});
    await test.rooms.memberUpkeep.idle();
    expect(await memberContent(roomId, dave)).toEqual({ membership: 'join', displayname: 'David' });
  });
});

describe('inviting', () => {
  it('invites, repeatedly, and the invited may enter or decline', async () => {
    const roomId = await alice.createRoom({});
    const path = `/rooms/${idsIn(roomId)}/invite`;
    const invite = { user_id: bob.userId, reason: 'come in' };
    expect(await alice.post(path, invite)).toMatchObject({ status: 200, body: {} });
    expect((await alice.post(path, invite)).status).toBe(200);
    expect(await memberContent(roomId, bob)).toEqual({ membership: 'invite', reason: 'come in' });
    await bob.join(roomId);
    await alice.post(path, { user_id: carol.userId });
    expect((await carol.post(`/rooms/${idsIn(roomId)}/leave`, {})).status).toBe(200);
    expect(await membershipOf(roomId, carol)).toBe('leave');
    expect((await carol.post(`/rooms/${idsIn(roomId)}/join`, {})).status).toBe(403);
  });

  it('refuses members, strangers to the room, the blocked, and addresses', async () => {
    const roomId = await alice.createRoom();
    const path = `/rooms/${idsIn(roomId)}/invite`;
    expect((await bob.post(path, { user_id: carol.userId })).status).toBe(403);
    await bob.join(roomId);
    expect((await alice.post(path, { user_id: bob.userId })).body.errcode).toBe('M_FORBIDDEN');
    expect((await bob.post(path, { user_id: carol.userId })).body.errcode).toBe('M_FORBIDDEN');
    expect((await alice.post(path, { user_id: 'carol' })).status).toBe(400);
    expect((await alice.post(path, {})).status).toBe(400);
    const invite3pid = { id_server: 'i', id_access_token: 't', medium: 'email', address: 'a@b' };
    expect((await alice.post(path, invite3pid)).body.errcode).toBe('M_SERVER_NOT_TRUSTED');
    expect(await alice.post(path, { ...invite3pid, user_id: 'carol' })).toMatchObject({
      status: 400,
      body: { errcode: 'M_INVALID_PARAM' },
    });
    await test.core.accountData.put(carol.userId, undefined, 'm.invite_permission_config', {
      default_action: 'block',
    });
    expect(await alice.post(path, { user_id: carol.userId })).toMatchObject({
      status: 403,
      body: { errcode: 'M_INVITE_BLOCKED' },
    });
    await test.core.accountData.put(carol.userId, undefined, 'm.invite_permission_config', {});
    const elsewhere = await alice.post(path, { user_id: '@x:elsewhere.test' });
    expect(elsewhere.body.errcode).toBe('M_FORBIDDEN');
  });
});

describe('leaving and forgetting', () => {
  it('goes, stays gone, and forgets', async () => {
    const roomId = await alice.createRoom();
    await bob.join(roomId);
    const path = `/rooms/${idsIn(roomId)}`;
    expect((await bob.post(`${path}/forget`, {})).body.errcode).toBe('M_UNKNOWN');
    expect((await bob.post(`${path}/forget`, {})).status).toBe(400);
    expect((await bob.post(`${path}/leave`, { reason: 'late' })).status).toBe(200);
    expect((await bob.post(`${path}/leave`, {})).status).toBe(200);
    expect(await membershipOf(roomId, bob)).toBe('leave');
    expect((await bob.get(`${path}/state`)).status).toBe(200);
    expect((await bob.post(`${path}/forget`)).status).toBe(200);
    expect((await bob.get(`${path}/state`)).status).toBe(403);
    await bob.join(roomId);
    const rooms = await bob.get('/joined_rooms');
    expect(rooms.body.joined_rooms).toContain(roomId);
    const room = await test.core.registry.find(roomId);
    expect((await test.core.userRooms.get(bob.userId, room?.nid ?? 0))?.forgotten).toBe(false);
  });

  it('is refused to those who were never in', async () => {
    const roomId = await alice.createRoom();
    expect((await bob.post(`/rooms/${idsIn(roomId)}/leave`, {})).status).toBe(403);
    expect((await bob.post(`/rooms/${idsIn(unknownRoom)}/leave`, {})).status).toBe(404);
  });
});

describe('kicking and banning', () => {
  it('removes people, and lets them back', async () => {
    const roomId = await alice.createRoom();
    await bob.join(roomId);
    const path = `/rooms/${idsIn(roomId)}`;
    const target = { user_id: bob.userId, reason: 'jokes' };
    expect((await alice.post(`${path}/kick`, target)).status).toBe(200);
    expect(await memberContent(roomId, bob)).toEqual({ membership: 'leave', reason: 'jokes' });
    expect((await alice.post(`${path}/kick`, target)).status).toBe(403);
    expect((await alice.post(`${path}/unban`, target)).status).toBe(403);
    expect((await alice.post(`${path}/ban`, target)).status).toBe(200);
    expect(await membershipOf(roomId, bob)).toBe('ban');
    expect((await alice.post(`${path}/unban`, target)).status).toBe(200);
    await bob.join(roomId);
  });

  it('takes the power to', async () => {
    const roomId = await alice.createRoom();
    await bob.join(roomId);
    for (const action of ['kick', 'ban']) {
      const answer = await bob.post(`/rooms/${idsIn(roomId)}/${action}`, { user_id: alice.userId });
      expect(answer.body.errcode).toBe('M_FORBIDDEN');
      const fromOutside = await carol.post(`/rooms/${idsIn(roomId)}/${action}`, target());
      expect(fromOutside.status).toBe(403);
      expect((await alice.post(`/rooms/${idsIn(roomId)}/${action}`, {})).body.errcode).toBe(
        'M_MISSING_PARAM',
      );
    }
  });
  const target = () => ({ user_id: bob.userId });
});

describe('knocking', () => {
  it('asks to be let in', async () => {
    const roomId = await alice.createRoom({
      initial_state: [{ type: 'm.room.join_rules', content: { join_rule: 'knock' } }],
    });
    const knock = await bob.post(`/knock/${idsIn(roomId)}`, { reason: 'please' });
    expect(knock).toMatchObject({ status: 200, body: { room_id: roomId } });
    expect(await memberContent(roomId, bob)).toEqual({ membership: 'knock', reason: 'please' });
    await alice.post(`/rooms/${idsIn(roomId)}/invite`, { user_id: bob.userId });
    await bob.join(roomId);
    expect((await bob.post(`/knock/${idsIn(roomId)}`, {})).status).toBe(403);
  });

  it('is refused where the room does not take it', async () => {
    const roomId = await alice.createRoom({});
    expect((await bob.post(`/knock/${idsIn(roomId)}`, {})).body.errcode).toBe('M_FORBIDDEN');
    expect((await bob.post(`/knock/${idsIn(unknownRoom)}`, {})).status).toBe(404);
  });
});

describe('guests', () => {
  it('come only where they may, and go when they may no more', async () => {
    const guest = test.person('guest');
    await test.core.database.query({
      text: `INSERT INTO users (user_id, is_guest, created_at_ms) VALUES ($1, true, 0)`,
      values: [guest.userId],
    });
    const { membership } = test.rooms;
    const closed = await alice.createRoom({ preset: 'public_chat' });
    await expect(membership.join(guest.userId, closed, { isGuest: true })).rejects.toMatchObject({
      errcode: 'M_GUEST_ACCESS_FORBIDDEN',
      status: 403,
    });
    const guestAccess = (access: string) => ({ guest_access: access });
    const open = await alice.createRoom({
      preset: 'public_chat',
      initial_state: [{ type: 'm.room.guest_access', content: guestAccess('can_join') }],
    });
    await membership.join(guest.userId, open, { isGuest: true });
    await bob.join(open);
    const path = `/rooms/${idsIn(open)}/state/m.room.guest_access`;
    await alice.put(path, guestAccess('forbidden'));
    await test.rooms.idle();
    expect(await membershipOf(open, guest)).toBe('leave');
    expect(await membershipOf(open, bob)).toBe('join');
  });
});

describe('departing', () => {
  it('leaves every room', async () => {
    const erin = test.person('erin');
    const joined = await alice.createRoom();
    await erin.join(joined);
    const invited = await alice.createRoom({ invite: [erin.userId] });
    await test.core.accountData.put(erin.userId, undefined, 'x', { y: 1 });
    await test.rooms.memberUpkeep.depart(erin.userId, { erase: true });
    expect(await membershipOf(joined, erin)).toBe('leave');
    expect(await membershipOf(invited, erin)).toBe('leave');
    expect(await test.core.accountData.get(erin.userId, undefined, 'x')).toBeUndefined();
  });
});
