/** What the member events of this server's users show of their profiles: changed a room at a time. */
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { LocalEvents } from './local-events.ts';
import { type MemberProfile, memberContent } from './member-profiles.ts';

export class ShownProfiles {
  readonly #localEvents: LocalEvents;

  constructor({ localEvents }: { readonly localEvents: LocalEvents }) {
    this.#localEvents = localEvents;
  }

  /**
   * Shows a profile in a room, unless it is shown already. Membership is looked at again by the room's
   * writer: the user may have left meanwhile.
   */
  async show(userId: UserId, roomId: RoomId, profile: MemberProfile): Promise<void> {
    await this.#localEvents.sendDecided(roomId, async (room) => {
      if (room.membership(userId) !== 'join') return undefined;
      return {
        type: 'm.room.member',
        stateKey: userId,
        sender: userId,
        content: memberContent('join', profile),
      };
    });
  }
}
