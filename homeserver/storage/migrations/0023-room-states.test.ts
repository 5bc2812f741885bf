import type { UserId } from '../../../spec/identifiers.ts';
import { silentLogger } from '../../ops/logger.ts';
import { SnapshotStore } from '../../rooms/snapshot-store.ts';
import { emptyTestDatabase, type TestDatabase } from '../../testing/test-database.ts';
import { chainPlaces } from '../auth-chains.ts';
import { membersSinceBefore } from '../device-lists.ts';
import { migrate } from '../migrate.ts';
import { stateContents } from '../published-rooms.ts';
import { roomsOfUsers, snapshotsByNid, stateChangesBetween } from '../snapshots.ts';
import { roomStatesMigration } from './0023-room-states.ts';
import { migrations } from './index.ts';

describe('room states that were stored before', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await emptyTestDatabase();
    const before = migrations.filter(({ name }) => name < roomStatesMigration.name);
    await migrate(test.database, before, silentLogger);
    await test.database.query({
      text: `INSERT INTO rooms VALUES (1, '!room:here', '12', 7), (2, '!other:here', '12', 7);
        INSERT INTO events (room_nid, event_nid, event_id, type, state_key, membership, sender,
            depth, origin_server_ts, json)
          VALUES (1, 11, '$a', 'm.room.member', '@me:here', 'join', '@me:here', 1, 5, '{}'),
            (1, 12, '$b', 'm.room.name', '', NULL, '@me:here', 2, 5, '{"content":{"name":"b"}}'),
            (1, 13, '$c', 'm.room.name', '', NULL, '@me:here', 3, 5, '{"content":{"name":"c"}}'),
            (1, 14, '$d', 'm.room.topic', '', NULL, '@me:here', 4, 5, '{"content":{}}');
        INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos, membership_pos)
          VALUES ('@me:here', 1, 'join', 11, 101, 101);
        INSERT INTO user_rooms (user_id, room_nid, membership, event_nid, stream_pos, membership_pos,
            forgotten, stripped_state)
          VALUES ('@you:here', 1, 'leave', 15, 103, 102, true, '[]');
        INSERT INTO auth_chain_places (room_nid, event_nid, chain_nid, seq, to_chain_nid, to_seq)
          VALUES (1, 11, 31, 1, NULL, NULL), (1, 12, 32, 2, 31, 1);
        -- The name was set, changed and set back; the topic was removed; one entry has no change.
        INSERT INTO state_changes (stream_pos, room_nid, type, state_key, event_nid)
          VALUES (101, 1, 'm.room.member', '@me:here', 11), (102, 1, 'm.room.name', '', 12),
            (103, 1, 'm.room.name', '', 13), (104, 1, 'm.room.topic', '', 14),
            (105, 1, 'm.room.topic', '', 0), (106, 1, 'm.room.name', '', 12),
            (107, 2, 'm.room.name', '', 12);
        INSERT INTO current_state (room_nid, type, state_key, event_nid, membership)
          VALUES (1, 'm.room.member', '@me:here', 11, 'join'), (1, 'm.room.name', '', 12, NULL),
            (1, 'x.odd', '', 14, NULL);
        INSERT INTO state_snapshots (room_nid, snapshot_nid, height, chain, event_nids)
          VALUES (1, 21, 1, '{21}', '{11}'), (1, 9007199254740991, 2, '{9007199254740991}', '{12,11}'),
            (1, 23, 3, '{23,9007199254740991}', '{14,-13}'),
            (1, 22, 3, '{22,9007199254740991}', '{}');`,
    });
    await migrate(test.database, migrations, silentLogger);
  });
  afterAll(() => test.close());

  it('are what they were', async () => {
    const { rows } = await test.database.query({
      text: 'SELECT * FROM current_state ORDER BY type',
    });
    expect(rows).toEqual([
      {
        room_nid: 1,
        type: 'm.room.member',
        state_key: '@me:here',
        event_nid: 11,
        membership: 'join',
      },
      { room_nid: 1, type: 'm.room.name', state_key: '', event_nid: 12, membership: null },
      { room_nid: 1, type: 'x.odd', state_key: '', event_nid: 14, membership: null },
    ]);
    expect(await membersSinceBefore(test.database, 1, 200)).toEqual(['@me:here' as UserId]);
    const contents = await stateContents(test.database, [1, 2], ['m.room.name', 'm.room.topic']);
    expect(contents).toEqual(new Map([[1, new Map([['m.room.name', { name: 'b' }]])]]));
  });

  it('changed as they did, in the same order', async () => {
    const changes = await stateChangesBetween(test.database, 1, 101, 200);
    expect(
      changes?.map(({ stream_pos, type, event_nid }) => [stream_pos, type, event_nid]),
    ).toEqual([
      [102, 'm.room.name', 12],
      [103, 'm.room.name', 13],
      [104, 'm.room.topic', 14],
      [105, 'm.room.topic', 0],
      [106, 'm.room.name', 12],
    ]);
  });

  it('have the same snapshots', async () => {
    const nids = [21, 22, 23, Number.MAX_SAFE_INTEGER];
    const found = await snapshotsByNid(test.database, [1, 1, 1, 1], nids);
    expect(found.sort((a, b) => a.snapshot_nid - b.snapshot_nid)).toEqual([
      { room_nid: 1, snapshot_nid: 21, height: 1, below: [], event_nids: [11] },
      { room_nid: 1, snapshot_nid: 22, height: 3, below: [nids[3]], event_nids: [] },
      { room_nid: 1, snapshot_nid: 23, height: 3, below: [nids[3]], event_nids: [14, -13] },
      { room_nid: 1, snapshot_nid: nids[3], height: 2, below: [], event_nids: [12, 11] },
    ]);
    const state = await new SnapshotStore(test.database).load(1, 23);
    expect([...state.entries()].map(([, { eventId }]) => eventId)).toEqual(['$d', '$a']);
  });

  it('have the same members and chains', async () => {
    const you = '@you:here' as UserId;
    expect((await roomsOfUsers(test.database, [you])).get(you)).toEqual([
      {
        user_id: '@you:here',
        room_nid: 1,
        room_id: '!room:here',
        membership: 'leave',
        event_nid: 15,
        stream_pos: 103,
        membership_pos: 102,
        forgotten: true,
        stripped_state: '[]',
      },
    ]);
    const places = await chainPlaces(test.database, 1);
    expect(places.sort((a, b) => a.event_nid - b.event_nid)).toEqual([
      { event_nid: 11, chain_nid: 31, seq: 1, to_chain_nid: null, to_seq: null },
      { event_nid: 12, chain_nid: 32, seq: 2, to_chain_nid: 31, to_seq: 1 },
    ]);
  });

  it('have each entry once', async () => {
    await expect(
      test.database.query({
        text: `INSERT INTO state_changes (room_nid, stream_pos, event_nid, is_current, type, state_key)
          VALUES (1, 108, 13, true, 'm.room.name', '')`,
      }),
    ).rejects.toThrow('state_changes_current');
  });
});
