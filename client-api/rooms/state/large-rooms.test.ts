/** The answers about a large room leave the event loop and the cache to others. */

import { RoomState } from '../../../homeserver/rooms/room-state.ts';
import { localUser, type TestCore, testCore } from '../../../homeserver/testing/test-core.ts';
import { testRooms } from '../../../homeserver/testing/test-rooms.ts';
import type { UserId } from '../../../spec/identifiers.ts';
import { EventTexts } from '../../history/event-texts.ts';

let test: TestCore;
beforeAll(async () => {
  test = await testCore();
});
afterAll(() => test.close());

it('members of a large room are read past the cache and written in turns', async () => {
  const rooms = testRooms(test.core);
  const alice = localUser('alice');
  const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat' });
  const joining = Array.from({ length: 1_000 }, (_, n) =>
    rooms.membership.join(localUser(`member${n}`), roomId),
  );
  await Promise.all(joining);
  const core = await test.restart();
  const { events, clientEvents, access, userRooms } = core;
  const roomState = new RoomState({ access, userRooms, events });
  const room = await core.registry.find(roomId);
  const member = room?.stateRef('m.room.member', localUser('member7'))?.nid ?? 0;

  const [live, views] = await roomState.members(alice, roomId, {});
  expect(views).toHaveLength(1_001);
  expect(events.cached(member)).toBeUndefined();

  let others = 0;
  const other = (): void => {
    others += 1;
    timer = setImmediate(other);
  };
  let timer = setImmediate(other);
  // Many rooms' worth of them, so that it takes long on any machine.
  const many = Array.from({ length: 30 }, () => views).flat();
  const requester = { userId: alice as UserId, deviceId: undefined } as never;
  const texts = await new EventTexts(clientEvents, live, requester).views(many);
  clearImmediate(timer);
  expect(texts).toHaveLength(30 * 1_001);
  expect(others).toBeGreaterThan(3);
});
