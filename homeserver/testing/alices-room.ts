/** The scene of tests about one room: a core of its own, with a public room that Alice has made. */
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import type { NewRoom } from '../rooms/create-room.ts';
import { localUser, type TestCore, testCore } from './test-core.ts';
import { type TestRooms, testRooms } from './test-rooms.ts';

export interface AlicesRoom {
  readonly test: TestCore;
  readonly core: Core;
  readonly rooms: TestRooms;
  readonly alice: UserId;
  readonly roomId: RoomId;
}

/** What is made is given back by whoever opened it: `test.close()`. */
export const alicesRoom = async (more: NewRoom = {}): Promise<AlicesRoom> => {
  const test = await testCore();
  const rooms = testRooms(test.core);
  const alice = localUser('alice');
  const roomId = await rooms.roomCreator.create(alice, { preset: 'public_chat', ...more });
  return { test, core: test.core, rooms, alice, roomId };
};
