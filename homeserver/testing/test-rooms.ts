/** Rooms for tests of the core: services on a `testCore`, and shorthand for what people do. */
import type { JsonObject } from '../../spec/event.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { DEFAULT_ROOM_VERSION } from '../../spec/room-versions.ts';
import type { Core } from '../core.ts';
import { createRoomServices, type RoomServices } from '../rooms/room-services.ts';

export interface TestRooms extends RoomServices {
  /** The content of a state event, or undefined. */
  stateOf(roomId: RoomId, type: string, stateKey?: string): Promise<JsonObject | undefined>;
  say(roomId: RoomId, sender: UserId, body: string): Promise<EventId>;
}

export const testRooms = (core: Core, version = DEFAULT_ROOM_VERSION): TestRooms => {
  const services = createRoomServices(core, { defaultRoomVersion: version });
  return {
    ...services,
    async stateOf(roomId, type, stateKey = '') {
      const room = await core.registry.find(roomId);
      const ref = room?.stateRef(type, stateKey);
      if (room === undefined || ref === undefined) return undefined;
      return (await core.events.byNid(room.nid, ref.nid))?.event.content;
    },
    say: (roomId, sender, body) =>
      core.localEvents.send(roomId, {
        type: 'm.room.message',
        sender,
        content: { msgtype: 'm.text', body },
      }),
  };
};
