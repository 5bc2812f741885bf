import type { JsonObject } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { KNOWN_ROOM_VERSIONS } from '../../spec/room-versions.ts';
import type { Core } from '../core.ts';
import { aliasRecord, isPublished } from '../storage/room-directory.ts';
import { localUser, type TestCore, testCore } from '../testing/test-core.ts';
import { type TestRooms, testRooms } from '../testing/test-rooms.ts';
import type { NewRoom } from './create-room.ts';

const alice = localUser('alice');
const bob = localUser('bob');
const carol = localUser('carol');

let test: TestCore;
let core: Core;
let rooms: TestRooms;
beforeAll(async () => {
  test = await testCore();
  core = test.core;
  rooms = testRooms(core);
});
afterAll(() => test.close());

/** Every event of a room as the database has it, in log order: type and state key. */
const timeline = async (roomId: RoomId): Promise<string[]> => {
  const { rows } = await core.database.query<{ type: string; state_key: string | null }>({
    text: `SELECT e.type, e.state_key FROM events e JOIN rooms r USING (room_nid)
      WHERE r.room_id = $1 ORDER BY e.stream_pos`,
    values: [roomId],
  });
  return rows.map(({ type, state_key: key }) => (key ? `${type} ${key}` : type));
};

describe('createRoom', () => {
  it('makes the events in the order of the specification', async () => {
    const roomId = await rooms.roomCreator.create(alice, {
      preset: 'public_chat',
      aliasName: 'thepub',
      name: 'The Grand Duke Pub',
      topic: 'All about happy hour',
      invite: [bob, carol, alice, bob],
      isDirect: true,
      initialState: [
        { type: 'm.room.topic', stateKey: '', content: { topic: 'overwritten' } },
        { type: 'org.example.b', stateKey: 'x', content: { b: 1 } },
        { type: 'm.room.guest_access', stateKey: '', content: { guest_access: 'can_join' } },
        { type: 'org.example.a', stateKey: '', content: {} },
      ],
    });
    expect(await timeline(roomId)).toEqual([
      'm.room.create',
      `m.room.member ${alice}`,
      'm.room.power_levels',
      'm.room.canonical_alias',
      'm.room.join_rules',
      'm.room.history_visibility',
      'org.example.b x',
      'm.room.guest_access',
      'org.example.a',
      'm.room.name',
      'm.room.topic',
      `m.room.member ${bob}`,
      `m.room.member ${carol}`,
    ]);
    expect(await rooms.stateOf(roomId, 'm.room.topic')).toEqual({
      topic: 'All about happy hour',
      'm.topic': { 'm.text': [{ body: 'All about happy hour', mimetype: 'text/plain' }] },
    });
    expect(await rooms.stateOf(roomId, 'm.room.member', bob)).toEqual({
      membership: 'invite',
      is_direct: true,
    });
    expect(await rooms.stateOf(roomId, 'm.room.canonical_alias')).toEqual({
      alias: '#thepub:here.test',
    });
    expect(await aliasRecord(core.database, '#thepub:here.test' as never)).toMatchObject({
      roomId,
      creator: alice,
    });
    const seen = (await core.userRooms.of(bob)).get((await core.registry.find(roomId))?.nid ?? 0);
    expect(seen?.membership).toBe('invite');
    expect(JSON.parse(seen?.strippedState ?? '[]').at(-1)).toMatchObject({
      type: 'm.room.member',
      state_key: bob,
      sender: alice,
    });
  });

  it.each(KNOWN_ROOM_VERSIONS)('makes rooms of version %s', async (version) => {
    const roomId = await rooms.roomCreator.create(alice, { version, name: 'n' });
    const content = await rooms.stateOf(roomId, 'm.room.create');
    expect(content?.['room_version']).toBe(version);
    expect(content?.['creator']).toBe(Number(version) < 11 ? alice : undefined);
    expect(roomId.endsWith(':here.test')).toBe(version !== '12');
    const levels = (await rooms.stateOf(roomId, 'm.room.power_levels')) as JsonObject;
    expect(levels['users']).toEqual(version === '12' ? {} : { [alice]: 100 });
    expect((levels['events'] as JsonObject)['m.room.tombstone']).toBe(version === '12' ? 150 : 100);
    await rooms.say(roomId, alice, 'hello');
  });

  it('takes presets from the visibility, and publishes', async () => {
    const open = await rooms.roomCreator.create(alice, { visibility: 'public' });
    expect(await rooms.stateOf(open, 'm.room.join_rules')).toEqual({ join_rule: 'public' });
    expect(await rooms.stateOf(open, 'm.room.guest_access')).toEqual({ guest_access: 'forbidden' });
    expect(await isPublished(core.database, open)).toBe(true);
    const closed = await rooms.roomCreator.create(alice, {});
    expect(await rooms.stateOf(closed, 'm.room.join_rules')).toEqual({ join_rule: 'invite' });
    expect(await rooms.stateOf(closed, 'm.room.guest_access')).toEqual({
      guest_access: 'can_join',
    });
    expect(await isPublished(core.database, closed)).toBe(false);
  });

  it('trusts the invited in a trusted private chat', async () => {
    const preset = 'trusted_private_chat';
    const old = await rooms.roomCreator.create(alice, { preset, version: '11', invite: [bob] });
    expect((await rooms.stateOf(old, 'm.room.power_levels'))?.['users']).toEqual({
      [alice]: 100,
      [bob]: 100,
    });
    const creationContent = { additional_creators: [carol], 'm.federate': true, creator: 'x' };
    const now = await rooms.roomCreator.create(alice, { preset, invite: [bob], creationContent });
    expect(await rooms.stateOf(now, 'm.room.create')).toEqual({
      additional_creators: [carol, bob],
      'm.federate': true,
      room_version: '12',
    });
  });

  it('lays the power level override over the default', async () => {
    const roomId = await rooms.roomCreator.create(alice, { powerLevelOverride: { invite: 75 } });
    expect(await rooms.stateOf(roomId, 'm.room.power_levels')).toMatchObject({
      invite: 75,
      ban: 50,
    });
  });

  it('makes two rooms of two requests that are alike', async () => {
    const made = await Promise.all([
      rooms.roomCreator.create(alice, {}),
      rooms.roomCreator.create(alice, {}),
    ]);
    expect(new Set(made).size).toBe(2);
  });

  it.each<[string, NewRoom, string, number]>([
    ['an unknown version', { version: '13' }, 'M_UNSUPPORTED_ROOM_VERSION', 400],
    ['an alias that is taken', { aliasName: 'thepub' }, 'M_ROOM_IN_USE', 400],
    ['an alias that is none', { aliasName: 'a b' }, 'M_INVALID_PARAM', 400],
    [
      'power levels that lock the creator out',
      { version: '11', powerLevelOverride: { users: {} }, name: 'n', aliasName: 'lost' },
      'M_INVALID_ROOM_STATE',
      400,
    ],
    [
      'creators that are not users',
      { creationContent: { additional_creators: ['x'] } },
      'M_INVALID_ROOM_STATE',
      400,
    ],
    [
      'members in the initial state',
      { initialState: [{ type: 'm.room.member', stateKey: bob, content: {} }] },
      'M_INVALID_PARAM',
      400,
    ],
  ])('refuses %s and leaves nothing behind', async (_, wanted, errcode, status) => {
    const count = async (): Promise<unknown> =>
      (await core.database.query({ text: 'SELECT count(*) FROM events' })).rows;
    const before = await count();
    await expect(rooms.roomCreator.create(alice, wanted)).rejects.toMatchObject({
      errcode,
      status,
    });
    await core.accountData.put(alice, undefined, 'm.flush', {});
    expect(await count()).toEqual(before);
    expect(await aliasRecord(core.database, '#lost:here.test' as never)).toBeUndefined();
  });

  it('does not invite people who take no invites', async () => {
    const dave = localUser('dave');
    await core.accountData.put(dave, undefined, 'm.invite_permission_config', {
      default_action: 'block',
    });
    await expect(rooms.roomCreator.create(alice, { invite: [dave] })).rejects.toMatchObject({
      errcode: 'M_INVITE_BLOCKED',
      status: 403,
    });
  });

  it('goes without invited users of servers it cannot reach', async () => {
    const roomId = await rooms.roomCreator.create(alice, {
      invite: ['@x:elsewhere.test' as UserId],
    });
    expect(await timeline(roomId)).not.toContain('m.room.member @x:elsewhere.test');
  });

  it('survives a restart', async () => {
    const roomId = await rooms.roomCreator.create(alice, { name: 'kept' });
    core = await test.restart();
    rooms = testRooms(core);
    expect(await rooms.stateOf(roomId, 'm.room.name')).toEqual({ name: 'kept' });
    await rooms.say(roomId, alice, 'still here');
  });
});
