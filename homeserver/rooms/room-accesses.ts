/** Finds out how somebody stands to a room. */
import { matrixError } from '../../spec/errors.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Log } from '../streams/log.ts';
import type { LiveRoom } from './live-room.ts';
import { notInRoom, RoomAccess, type RoomAccessDeps, type Standing } from './room-access.ts';
import type { RoomRegistry } from './room-registry.ts';
import { type MembershipHistory, membershipHistory } from './stays.ts';
import type { UserRoom, UserRooms } from './user-rooms.ts';

export interface RoomAccessesDeps extends RoomAccessDeps {
  readonly log: Pick<Log, 'position'>;
  readonly registry: RoomRegistry;
  readonly userRooms: UserRooms;
}

const noHistory: MembershipHistory = { stays: [], departure: undefined };

export class RoomAccesses {
  readonly #deps: RoomAccessesDeps;

  constructor(deps: RoomAccessesDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError M_FORBIDDEN for those who may see nothing of the room, and where there is none */
  async of(userId: UserId, roomId: RoomId): Promise<RoomAccess> {
    const access = await this.find(userId, roomId);
    if (access === undefined) throw notInRoom();
    access.assertMayLook();
    return access;
  }

  /** Like `of`. @throws MatrixError M_NOT_FOUND in place of M_FORBIDDEN */
  async ofEvent(userId: UserId, roomId: RoomId): Promise<RoomAccess> {
    const access = await this.find(userId, roomId);
    if (access === undefined || access.standing === 'outsider') throw eventNotFound();
    return access;
  }

  /** Undefined: this server has no such room. */
  async find(userId: UserId, roomId: RoomId): Promise<RoomAccess | undefined> {
    const { registry, userRooms } = this.#deps;
    const room = await registry.find(roomId);
    if (room === undefined) return undefined;
    return this.inRoom(userId, room, await userRooms.get(userId, room.nid));
  }

  /** `userRoom` is the user's row for the room; undefined if they never had to do with it. */
  inRoom(
    userId: UserId,
    room: LiveRoom,
    userRoom: UserRoom | undefined,
  ): RoomAccess | Promise<RoomAccess> {
    return userRoom?.membership === 'join'
      ? this.ofMember(userId, room, userRoom)
      : this.#ofOther(userId, room, userRoom);
  }

  /** Of somebody who is joined. */
  ofMember(userId: UserId, room: LiveRoom, userRoom: UserRoom): RoomAccess {
    return this.#make(userId, room, 'member', userRoom.membershipPos, undefined, false);
  }

  async #ofOther(
    userId: UserId,
    room: LiveRoom,
    userRoom: UserRoom | undefined,
  ): Promise<RoomAccess> {
    const { events, visibility } = this.#deps;
    const setting = await visibility.settingIn(room.nid, room.committed.state);
    const isWorldReadable = setting === 'world_readable';
    const { stays, departure } =
      userRoom === undefined || userRoom.forgotten
        ? noHistory
        : await membershipHistory(events, room.nid, userRoom.eventNid, 1);
    const [stay] = stays;
    if (stay !== undefined && departure !== undefined) {
      return this.#make(userId, room, 'departed', stay.from, departure, isWorldReadable);
    }
    const standing = isWorldReadable ? 'onlooker' : 'outsider';
    return this.#make(userId, room, standing, Number.POSITIVE_INFINITY, undefined, isWorldReadable);
  }

  #make(
    userId: UserId,
    room: LiveRoom,
    standing: Standing,
    stayFrom: number,
    departure: RoomAccess['departure'],
    isWorldReadable: boolean,
  ): RoomAccess {
    const position = this.#deps.log.position;
    return new RoomAccess(this.#deps, {
      userId,
      room,
      standing,
      stayFrom,
      departure,
      isWorldReadable,
      position,
    });
  }
}

export const eventNotFound = () => matrixError('M_NOT_FOUND', 'Event not found');
