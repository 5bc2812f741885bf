/** The scene of tests about one room that a server played by the test has come into. */
import type { NewRoom } from '../../homeserver/rooms/create-room.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { Guest } from './guest.ts';
import type { RoomPeer } from './room-peer.ts';
import { type NetworkServer, TestNetwork } from './test-network.ts';

export interface GuestScene {
  readonly network: TestNetwork;
  readonly here: NetworkServer;
  /** A person of ours. */
  readonly alice: UserId;
  /** Of this test alone, as are her room and the guest in it. */
  readonly peer: RoomPeer;
  readonly roomId: RoomId;
  readonly guest: Guest;
}

/**
 * Opens a network once for a group of tests, and a room with a guest for each of them.
 * @param set takes what is there from then on
 */
export const inGuestScene = (set: (scene: GuestScene) => void, more: NewRoom = {}): void => {
  let network: TestNetwork;
  let here: NetworkServer;
  let alice: UserId;
  beforeAll(async () => {
    network = await TestNetwork.open();
    here = await network.server();
    alice = await here.user('alice');
  });
  beforeEach(async () => {
    const peer = await network.peer();
    const wanted = { preset: 'public_chat', version: '11', ...more } as const;
    const roomId = await here.rooms.roomCreator.create(alice, wanted);
    const guest = await Guest.join(peer, here.name, roomId);
    set({ network, here, alice, peer, roomId, guest });
  });
  afterAll(() => network.close());
};
