/**
 * Reading the state of a room as someone may see it: as it is now for members, as they left it for
 * those who left. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate
 */
import { matrixError } from '../../spec/errors.ts';
import { stateKeyOf } from '../../spec/event.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { type TimelinePlace, timelineBetween } from '../storage/events.ts';
import type { EventStore } from './event-store.ts';
import { type LiveRoom, memberOfKey } from './live-room.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';
import type { UserRooms } from './user-rooms.ts';
import type { Visibility } from './visibility.ts';

export interface VisibleState {
  readonly room: LiveRoom;
  readonly state: StateSnapshot;
  /** Set for those who are in the room no more: their last event while they were. */
  readonly left: StoredEvent | undefined;
}

export interface MemberFilter {
  /** The state at this place, instead of the latest. */
  readonly at?: TimelinePlace | undefined;
  readonly membership?: string | undefined;
  readonly notMembership?: string | undefined;
}

export interface RoomStateDeps {
  readonly database: Db;
  readonly registry: RoomRegistry;
  readonly userRooms: UserRooms;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly visibility: Visibility;
}

const beforeEverything: TimelinePlace = { streamPos: 0, backfillPos: 0 };
/** How far back a chain of member events is followed: leave, ban, unban, … */
const maxMemberEvents = 20;

export class RoomState {
  readonly #deps: RoomStateDeps;

  constructor(deps: RoomStateDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError M_FORBIDDEN for those who were never in the room and cannot look in */
  async visibleTo(userId: UserId, roomId: RoomId): Promise<VisibleState> {
    const { registry, visibility, userRooms } = this.#deps;
    const room = await registry.find(roomId);
    if (room === undefined) throw notInRoom();
    const { state } = room;
    if (room.membership(userId) === 'join') return { room, state, left: undefined };
    if ((await visibility.settingIn(room.nid, state)) === 'world_readable') {
      return { room, state, left: undefined };
    }
    const known = await userRooms.get(userId, room.nid);
    const left =
      known?.forgotten === false ? await this.#departure(room, known.eventNid) : undefined;
    if (left === undefined) throw notInRoom();
    return { room, state: await this.#stateAfter(left), left };
  }

  /** Every state event, in no particular order. @throws MatrixError M_FORBIDDEN */
  async events(userId: UserId, roomId: RoomId): Promise<[LiveRoom, StoredEvent[]]> {
    const { room, state } = await this.visibleTo(userId, roomId);
    const nids = [...state.entries()].map(([, { nid }]) => nid);
    return [room, [...(await this.#deps.events.manyByNid(room.nid, nids)).values()]];
  }

  /** @throws MatrixError M_FORBIDDEN, M_NOT_FOUND */
  async event(
    userId: UserId,
    roomId: RoomId,
    type: string,
    stateKey: string,
  ): Promise<[LiveRoom, StoredEvent]> {
    const { room, state } = await this.visibleTo(userId, roomId);
    const ref = state.get(stateKeyOf(type, stateKey));
    const stored = ref && (await this.#deps.events.byNid(room.nid, ref.nid));
    if (stored === undefined) throw matrixError('M_NOT_FOUND', 'The room has no such state');
    return [room, stored];
  }

  /** The member events of a room. @throws MatrixError M_FORBIDDEN */
  async members(
    userId: UserId,
    roomId: RoomId,
    { at, membership, notMembership }: MemberFilter,
  ): Promise<[LiveRoom, StoredEvent[]]> {
    const visible = await this.visibleTo(userId, roomId);
    const { room } = visible;
    const state = at === undefined ? visible.state : await this.#stateAt(visible, at);
    const isWanted = (value: string | undefined): boolean =>
      (membership === undefined && notMembership === undefined) ||
      (membership !== undefined && value === membership) ||
      (notMembership !== undefined && value !== notMembership);
    const nids: number[] = [];
    for (const [key, ref] of state.entries()) {
      if (memberOfKey(key) !== undefined && isWanted(ref.membership)) nids.push(ref.nid);
    }
    return [room, [...(await this.#deps.events.manyByNid(room.nid, nids)).values()]];
  }

  /** The member events of those in a room now. @throws MatrixError M_FORBIDDEN unless one of them */
  async joinedMembers(userId: UserId, roomId: RoomId): Promise<StoredEvent[]> {
    const room = await this.#deps.registry.find(roomId);
    if (room?.membership(userId) !== 'join') throw notInRoom();
    return (await this.members(userId, roomId, { membership: 'join' }))[1];
  }

  /** The rooms a user is joined to. */
  async joinedRooms(userId: UserId): Promise<RoomId[]> {
    const rooms = [...(await this.#deps.userRooms.of(userId)).values()];
    return rooms.filter(({ membership }) => membership === 'join').map(({ roomId }) => roomId);
  }

  /** The event by which the user ceased to be joined; undefined for those who never were. */
  async #departure(room: LiveRoom, memberNid: number): Promise<StoredEvent | undefined> {
    let later: StoredEvent | undefined;
    let nid: number | undefined = memberNid;
    for (let count = 0; nid !== undefined && count < maxMemberEvents; count += 1) {
      const stored: StoredEvent | undefined = await this.#deps.events.byNid(room.nid, nid);
      if (stored === undefined) return undefined;
      if (stored.event.content['membership'] === 'join') return later;
      later = stored;
      nid = stored.replacesNid;
    }
    return undefined;
  }

  async #stateAt({ room, state, left }: VisibleState, at: TimelinePlace): Promise<StateSnapshot> {
    if (left?.streamPos !== undefined && at.streamPos >= left.streamPos) return state;
    const { database, events } = this.#deps;
    const rows = await timelineBetween(database, room.nid, beforeEverything, at, 'backwards', 1);
    const [latest] = events.adopt(rows);
    if (latest === undefined) throw matrixError('M_INVALID_PARAM', 'Nothing is known of then');
    return this.#stateAfter(latest);
  }

  #stateAfter({ roomNid, currentSnapshot, snapshotAfter }: StoredEvent): Promise<StateSnapshot> {
    return this.#deps.snapshots.load(roomNid, currentSnapshot ?? snapshotAfter ?? 0);
  }
}

const notInRoom = () => matrixError('M_FORBIDDEN', 'You are not in this room');
