/**
 * Reading the state of a room as someone may see it: as it is now for members, as they left it for
 * those who left. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate
 */
import { matrixError } from '../../spec/errors.ts';
import { stateKeyOf } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { TimelinePlace } from '../storage/events.ts';
import type { EventView } from './client-events.ts';
import type { EventStore } from './event-store.ts';
import { type LiveRoom, memberOfKey } from './live-room.ts';
import { notInRoom, type RoomAccess } from './room-access.ts';
import type { RoomAccesses } from './room-accesses.ts';
import type { UserRooms } from './user-rooms.ts';

export interface MemberFilter {
  /** The state at this place, instead of the latest. */
  readonly at?: TimelinePlace | undefined;
  readonly membership?: string | undefined;
  readonly notMembership?: string | undefined;
}

export interface RoomStateDeps {
  readonly access: RoomAccesses;
  readonly userRooms: UserRooms;
  readonly events: EventStore;
}

export class RoomState {
  readonly #deps: RoomStateDeps;

  constructor(deps: RoomStateDeps) {
    this.#deps = deps;
  }

  /** Every state event, in no particular order. @throws MatrixError M_FORBIDDEN */
  async events(userId: UserId, roomId: RoomId): Promise<[LiveRoom, EventView[]]> {
    const access = await this.#deps.access.of(userId, roomId);
    return [access.room, await this.eventsIn(access)];
  }

  /** Like `events`, for whom access has been found. */
  async eventsIn(access: RoomAccess): Promise<EventView[]> {
    const state = await access.state();
    return this.#views(
      access,
      [...state.entries()].map(([, { nid }]) => nid),
    );
  }

  /** @throws MatrixError M_FORBIDDEN, M_NOT_FOUND */
  async event(
    userId: UserId,
    roomId: RoomId,
    type: string,
    stateKey: string,
  ): Promise<[LiveRoom, EventView]> {
    const access = await this.#deps.access.of(userId, roomId);
    const ref = (await access.state()).get(stateKeyOf(type, stateKey));
    const [view] = ref === undefined ? [] : await this.#views(access, [ref.nid]);
    if (view === undefined) throw matrixError('M_NOT_FOUND', 'The room has no such state');
    return [access.room, view];
  }

  /** The member events of a room. @throws MatrixError M_FORBIDDEN */
  async members(
    userId: UserId,
    roomId: RoomId,
    filter: MemberFilter,
  ): Promise<[LiveRoom, EventView[]]> {
    const access = await this.#deps.access.of(userId, roomId);
    return [access.room, await this.#membersIn(access, filter)];
  }

  /** The member events of those in a room now. @throws MatrixError M_FORBIDDEN unless one of them */
  async joinedMembers(userId: UserId, roomId: RoomId): Promise<EventView[]> {
    const access = await this.#deps.access.of(userId, roomId);
    if (access.standing !== 'member') throw notInRoom();
    return this.#membersIn(access, { membership: 'join' });
  }

  /** The rooms a user is joined to. */
  async joinedRooms(userId: UserId): Promise<RoomId[]> {
    const rooms = [...(await this.#deps.userRooms.of(userId)).values()];
    return rooms.filter(({ membership }) => membership === 'join').map(({ roomId }) => roomId);
  }

  async #membersIn(
    access: RoomAccess,
    { at, membership, notMembership }: MemberFilter,
  ): Promise<EventView[]> {
    const state = await (at === undefined ? access.state() : access.stateAt(at));
    const isWanted = (value: string | undefined): boolean =>
      (membership === undefined && notMembership === undefined) ||
      (membership !== undefined && value === membership) ||
      (notMembership !== undefined && value !== notMembership);
    const nids: number[] = [];
    for (const [key, ref] of state.entries()) {
      if (memberOfKey(key) !== undefined && isWanted(ref.membership)) nids.push(ref.nid);
    }
    return this.#views(access, nids);
  }

  async #views(access: RoomAccess, nids: readonly number[]): Promise<EventView[]> {
    const found = await this.#deps.events.manyByNid(access.room.nid, nids);
    return access.stateViews([...found.values()]);
  }
}
