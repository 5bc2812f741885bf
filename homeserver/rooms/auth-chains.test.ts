import type { EventId, RoomId } from '../../spec/identifiers.ts';
import { localUser, testCore } from '../testing/test-core.ts';
import { testRooms } from '../testing/test-rooms.ts';

const alice = localUser('alice');

it('the chain cover of a room is the same once it is loaded again', async () => {
  const test = await testCore();
  const { core } = test;
  const rooms = testRooms(core);
  const roomId: RoomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  const setLevels = async (x: string) =>
    core.localEvents.send(roomId, {
      type: 'm.room.power_levels',
      sender: alice,
      stateKey: '',
      content: { ...(await rooms.stateOf(roomId, 'm.room.power_levels')), x },
    });
  for (const name of ['bob', 'carol', 'dave']) {
    await rooms.membership.join(localUser(name), roomId);
    await setLevels(name);
    await core.localEvents.send(roomId, {
      type: 'm.room.join_rules',
      sender: alice,
      stateKey: '',
      content: { join_rule: 'public', x: name },
    });
  }
  await setLevels('last');
  // Authorised by events of three chains.
  await core.localEvents.send(roomId, {
    type: 'm.room.member',
    sender: localUser('bob'),
    stateKey: localUser('bob'),
    content: { membership: 'join', displayname: 'Bob' },
  });
  const { nid } = (await core.registry.find(roomId))!;
  const { rows: state } = await core.database.query<{ event_nid: number; event_id: EventId }>({
    text: 'SELECT event_nid, event_id FROM events WHERE state_key IS NOT NULL ORDER BY event_nid',
  });
  const { rows: links } = await core.database.query<{ placed: number; further: number }>({
    text: `SELECT (SELECT count(*)::int FROM auth_chain_places WHERE to_seq IS NOT NULL) AS placed,
      (SELECT count(*)::int FROM auth_chain_links) AS further`,
  });
  // Both kinds of rows are read again below.
  const { placed, further } = links[0]!;
  expect(placed).toBeGreaterThan(0);
  expect(further).toBeGreaterThan(0);

  const before = await core.chains.graphOf(nid);
  const after = await (await test.restart()).chains.graphOf(nid);
  expect(after).not.toBe(before);
  expect(after.size).toBe(before.size);
  for (const { event_nid: event } of state) {
    expect(after.placeOf(event)).toEqual(before.placeOf(event));
    const reach = after.authChainReach([event]);
    expect(reach).toBeDefined();
    expect(reach).toEqual(before.authChainReach([event]));
  }
  await test.close();
});
