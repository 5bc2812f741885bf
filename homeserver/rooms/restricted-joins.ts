/**
 * Joins that membership of another room allows.
 * https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms
 */
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { isRoomId } from '../../spec/identifiers.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { LocalEvents } from './local-events.ts';
import type { RoomRegistry } from './room-registry.ts';

/** Conditions beyond these are not looked at. */
const maxConditions = 200;

export type RestrictedJoin =
  /** The room's join rule asks for no condition. */
  | { readonly outcome: 'unrestricted' }
  /** `authoriser`: one of our users who may invite, for `join_authorised_via_users_server`. */
  | { readonly outcome: 'allowed'; readonly authoriser: UserId | undefined }
  | { readonly outcome: 'denied' }
  /** No condition is met as far as this server can tell, but it is not in all of the rooms. */
  | { readonly outcome: 'unknown' };

export class RestrictedJoins {
  readonly #registry: RoomRegistry;
  readonly #events: EventStore;
  readonly #localEvents: LocalEvents;

  constructor(deps: { registry: RoomRegistry; events: EventStore; localEvents: LocalEvents }) {
    this.#registry = deps.registry;
    this.#events = deps.events;
    this.#localEvents = deps.localEvents;
  }

  /** Whether a user, ours or another server's, meets a condition of the room's join rule. */
  async check(room: LiveRoom, userId: UserId): Promise<RestrictedJoin> {
    const ref = room.stateRef('m.room.join_rules', '');
    const rules = ref && (await this.#events.byNid(room.nid, ref.nid))?.event.content;
    const joinRule = rules?.['join_rule'];
    const restricted =
      (joinRule === 'restricted' && room.rules.restrictedJoins) ||
      (joinRule === 'knock_restricted' && room.rules.knockRestricted);
    if (!restricted) return { outcome: 'unrestricted' };
    let unknown = false;
    for (const roomId of allowedRooms(rules?.['allow'])) {
      const allowed = await this.#registry.find(roomId);
      if (allowed?.hasJoinedServer(allowed.localServer) !== true) unknown = true;
      else if (allowed.membership(userId) === 'join') {
        return { outcome: 'allowed', authoriser: await this.#authoriser(room) };
      }
    }
    return { outcome: unknown ? 'unknown' : 'denied' };
  }

  async #authoriser(room: LiveRoom): Promise<UserId | undefined> {
    const levels = await this.#localEvents.powerLevels(room);
    for (const user of room.joinedLocalUsers) if (levels.canInvite(user)) return user;
    return undefined;
  }
}

const allowedRooms = (allow: unknown): RoomId[] => {
  if (!Array.isArray(allow)) return [];
  return allow.slice(0, maxConditions).flatMap((condition: unknown) => {
    if (typeof condition !== 'object' || condition === null) return [];
    const { type, room_id: roomId } = condition as Record<string, unknown>;
    const isRoom = type === 'm.room_membership' && typeof roomId === 'string' && isRoomId(roomId);
    return isRoom ? [roomId] : [];
  });
};
