/** Events of one room as raw JSON for a response. */
import type { Requester } from '../../homeserver/accounts/requester.ts';
import { rawJson } from '../../homeserver/http/raw-json.ts';
import type { ClientEvents, EventView } from '../../homeserver/rooms/client-events.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';

export class EventTexts {
  readonly #clientEvents: ClientEvents;
  readonly #room: LiveRoom;
  readonly #requester: Requester;

  constructor(clientEvents: ClientEvents, room: LiveRoom, requester: Requester) {
    this.#clientEvents = clientEvents;
    this.#room = room;
    this.#requester = requester;
  }

  async views(views: readonly EventView[]): Promise<object[]> {
    const { userId, deviceId } = this.#requester;
    const viewer = { userId, deviceId };
    const format = { withRoomId: true };
    const texts = await this.#clientEvents.writeMany(views, this.#room.rules, viewer, format);
    return texts.map((text) => rawJson<object>(text));
  }
}
