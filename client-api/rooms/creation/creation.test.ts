import { RateLimits } from '../../../homeserver/http/rate-limits.ts';
import { createRoomServices } from '../../../homeserver/rooms/room-services.ts';
import { localUser } from '../../../homeserver/testing/test-core.ts';
import type { RoomId } from '../../../spec/identifiers.ts';
import type { PushAction, PushRule } from '../../../spec/push-rules/push-rule.ts';
import { putRule } from '../../../spec/push-rules/user-rules.ts';
import { idsIn, type Person, type RoomServer, roomServer } from '../../testing/room-server.ts';

let test: RoomServer;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  test = await roomServer();
  [alice, bob] = ['alice', 'bob'].map(test.person) as [Person, Person];
});
afterAll(() => test.stop());

const stateOf = async (roomId: RoomId, type: string) =>
  (await alice.get(`/rooms/${idsIn(roomId)}/state/${type}`)).body;

describe('createRoom', () => {
  it('invites as many as it may name, whatever is left of the limit, and owes them', async () => {
    const limits = new RateLimits(
      { general: { perSecond: 1, burst: 1 }, invite: { perSecond: 2, burst: 50 } },
      test.clock,
    );
    const { core } = test;
    const { roomCreator } = createRoomServices(core, {
      defaultRoomVersion: '12',
      inviteLimits: limits,
    });
    const invite = Array.from({ length: 120 }, (_, n) => localUser(`guest${n}`));
    const roomId = await roomCreator.create(alice.userId, { invite });
    const { body } = await alice.get(`/rooms/${idsIn(roomId)}/members?membership=invite`);
    expect(body.chunk).toHaveLength(120);
    const again = () => roomCreator.create(alice.userId, { invite: [bob.userId] });
    await expect(again()).rejects.toMatchObject({
      errcode: 'M_LIMIT_EXCEEDED',
      fields: { retry_after_ms: 35_500 },
    });
    test.clock.advance(35_500);
    await expect(again()).resolves.toBeDefined();
  });

  it('leaves its creator out of the levels asked for, unless version 12 was asked for', async () => {
    // Rooms made at one moment with the same content are the same room.
    test.clock.advance(1);
    const power_level_content_override = { users: { [alice.userId]: 101, [bob.userId]: 50 } };
    const roomId = await alice.createRoom({ power_level_content_override });
    expect((await stateOf(roomId, 'm.room.create')).room_version).toBe('12');
    expect((await stateOf(roomId, 'm.room.power_levels')).users).toEqual({ [bob.userId]: 50 });
    const asked = await alice.post('/createRoom', {
      power_level_content_override,
      room_version: '12',
    });
    expect(asked).toMatchObject({ status: 400, body: { errcode: 'M_INVALID_ROOM_STATE' } });
    const older = await alice.createRoom({ power_level_content_override, room_version: '11' });
    expect((await stateOf(older, 'm.room.power_levels')).users).toEqual(
      power_level_content_override.users,
    );
  });

  it('makes a room of what it is told', async () => {
    const roomId = await alice.createRoom({
      name: 'Name',
      initial_state: [{ type: 'org.example', content: { a: 1 } }],
      room_version: '10',
    });
    expect(await stateOf(roomId, 'm.room.name')).toEqual({ name: 'Name' });
    expect(await stateOf(roomId, 'org.example')).toEqual({ a: 1 });
    expect(await stateOf(roomId, 'm.room.create')).toMatchObject({ room_version: '10' });
  });

  it.each([
    [{ preset: 'nice_chat' }, 'M_INVALID_PARAM'],
    [{ name: 1 }, 'M_BAD_JSON'],
    [{ invite: ['bob'] }, 'M_INVALID_PARAM'],
    [{ room_version: '99' }, 'M_UNSUPPORTED_ROOM_VERSION'],
    [{ initial_state: [{ content: {} }] }, 'M_MISSING_PARAM'],
    [{ power_level_content_override: { users: 'x' } }, 'M_INVALID_ROOM_STATE'],
    [
      { invite_3pid: [{ id_server: 'i', id_access_token: 't', medium: 'email', address: 'a' }] },
      'M_SERVER_NOT_TRUSTED',
    ],
  ])('refuses %j', async (body, errcode) => {
    expect(await alice.post('/createRoom', body)).toMatchObject({ status: 400, body: { errcode } });
  });
});

describe('upgradeRoom', () => {
  const upgrade = (person: Person, roomId: RoomId, body: object) =>
    person.post(`/rooms/${idsIn(roomId)}/upgrade`, body);

  it.each([
    ['9', '11'],
    ['11', '12'],
    ['12', '12'],
    ['12', '11'],
  ])('replaces a room of version %s by one of version %s', async (from, to) => {
    const old = await alice.createRoom({
      preset: 'public_chat',
      visibility: 'public',
      room_alias_name: `up${from}to${to}`,
      name: 'Name',
      topic: 'Topic',
      room_version: from,
      creation_content: { type: 'm.space' },
      power_level_content_override: { kick: 60 },
    });
    await bob.join(old);
    const answer = await upgrade(alice, old, { new_version: to });
    expect(answer.status).toBe(200);
    const replacement = answer.body.replacement_room as RoomId;
    const create = await stateOf(replacement, 'm.room.create');
    expect(create).toMatchObject({ room_version: to, type: 'm.space' });
    expect(create.predecessor.room_id).toBe(old);
    const history = await alice.get(`/rooms/${idsIn(old)}/messages?dir=b`);
    const ended = history.body.chunk.find(
      ({ type }: { type: string }) => type === 'm.room.tombstone',
    );
    // The id of a room of version 12 follows from its create event, which cannot name what names it.
    expect(create.predecessor.event_id).toBe(to === '12' ? undefined : ended.event_id);
    expect(await stateOf(replacement, 'm.room.name')).toEqual({ name: 'Name' });
    expect(await stateOf(replacement, 'm.room.topic')).toMatchObject({ topic: 'Topic' });
    const levels = await stateOf(replacement, 'm.room.power_levels');
    expect(levels).toMatchObject({ kick: 60, users: to === '12' ? {} : { [alice.userId]: 100 } });
    if (to === '12') expect(levels.events['m.room.tombstone']).toBeGreaterThanOrEqual(150);
    const alias = `#up${from}to${to}:here.test`;
    expect(await stateOf(replacement, 'm.room.canonical_alias')).toEqual({ alias });
    const found = await alice.get(`/directory/room/${encodeURIComponent(alias)}`);
    expect(found.body.room_id).toBe(replacement);
    expect(await stateOf(old, 'm.room.tombstone')).toMatchObject({ replacement_room: replacement });
    expect(await stateOf(old, 'm.room.power_levels')).toMatchObject({
      events_default: 50,
      invite: 50,
    });
    const listed = async (roomId: RoomId) =>
      (await alice.get(`/directory/list/room/${idsIn(roomId)}`)).body.visibility;
    expect([await listed(old), await listed(replacement)]).toEqual(['private', 'public']);
    await bob.join(replacement);
    await alice.say(replacement, 'welcome');
  });

  it('brings along the push rules for the room of those who follow', async () => {
    const old = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(old);
    const rule = (roomId: RoomId, actions: PushAction[] = []): PushRule => ({
      rule_id: roomId,
      default: false,
      enabled: true,
      actions,
      conditions: [{ kind: 'event_match', key: 'room_id', pattern: roomId }],
    });
    const { pushRules } = test.core;
    const put = (kind: 'room' | 'override', made: PushRule) =>
      pushRules.change(bob.userId, (stored) => putRule(stored, kind, made));
    const rules = async () => (await pushRules.of(bob.userId)).stored.rules;
    await put('room', rule(old));
    await put('override', rule(old));
    const { body } = await upgrade(alice, old, { new_version: '12' });
    const replacement = body.replacement_room as RoomId;
    await bob.join(replacement);
    await test.rooms.idle();
    expect((await rules()).room).toEqual([rule(old), rule(replacement)]);
    expect((await rules()).override).toEqual([rule(old), rule(replacement)]);
    // What is set meanwhile stays.
    await put('room', rule(replacement, ['notify']));
    await bob.post(`/rooms/${idsIn(replacement)}/leave`, {});
    await bob.join(replacement);
    await test.rooms.idle();
    expect((await rules()).room).toEqual([rule(old), rule(replacement, ['notify'])]);
  });

  it('brings along the tags and direct chats of those who follow', async () => {
    const old = await alice.createRoom({ preset: 'public_chat' });
    await bob.join(old);
    const tags = (roomId: RoomId) => `/user/${bob.userId}/rooms/${idsIn(roomId)}/tags`;
    await bob.put(`${tags(old)}/m.favourite`, { order: 0.5 });
    const { accountData } = test.core;
    await accountData.put(bob.userId, undefined, 'm.direct', { [alice.userId]: [old] });
    const { body } = await upgrade(alice, old, { new_version: '12' });
    const replacement = body.replacement_room as RoomId;
    await bob.join(replacement);
    await test.rooms.idle();
    expect((await bob.get(tags(replacement))).body).toEqual({
      tags: { 'm.favourite': { order: 0.5 } },
    });
    expect(await accountData.get(bob.userId, undefined, 'm.direct')).toEqual({
      [alice.userId]: [old, replacement],
    });
  });

  it('names further creators', async () => {
    const old = await alice.createRoom({ room_version: '11' });
    const { body } = await upgrade(alice, old, {
      new_version: '12',
      additional_creators: [bob.userId],
    });
    const create = await stateOf(body.replacement_room, 'm.room.create');
    expect(create.additional_creators).toEqual([bob.userId]);
  });

  it('is refused without the power, and for unknown versions', async () => {
    const roomId = await alice.createRoom();
    await bob.join(roomId);
    expect(await upgrade(bob, roomId, { new_version: '12' })).toMatchObject({
      status: 403,
      body: { errcode: 'M_FORBIDDEN' },
    });
    expect(await upgrade(alice, roomId, { new_version: 'x' })).toMatchObject({
      status: 400,
      body: { errcode: 'M_UNSUPPORTED_ROOM_VERSION' },
    });
    expect((await upgrade(alice, roomId, {})).body.errcode).toBe('M_MISSING_PARAM');
  });
});
