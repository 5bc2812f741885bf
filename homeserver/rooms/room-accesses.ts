/** Finds out how somebody stands to a room. */
import { matrixError } from '../../spec/errors.ts';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Log } from '../streams/log.ts';
import type { LiveRoom } from './live-room.ts';
import { notInRoom, RoomAccess, type RoomAccessDeps, type RoomAccessInit } from './room-access.ts';
import type { RoomRegistry } from './room-registry.ts';
import { type MembershipHistory, membershipHistory } from './stays.ts';
import type { ReadableRoom } from './stored-rooms.ts';
import type { UserRoom, UserRooms } from './user-rooms.ts';

export interface RoomAccessesDeps extends RoomAccessDeps {
  readonly log: Pick<Log, 'position'>;
  readonly registry: RoomRegistry;
  readonly userRooms: UserRooms;
}

type History = Omit<RoomAccessInit, 'userId' | 'room' | 'position'>;

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
  ofMember<Room extends ReadableRoom>(
    userId: UserId,
    room: Room,
    userRoom: UserRoom,
  ): RoomAccess<Room> {
    return this.#make(userId, room, {
      standing: 'member',
      stayFrom: userRoom.membershipPos,
      departure: undefined,
      isWorldReadable: false,
      memberNid: userRoom.eventNid,
    });
  }

  async #ofOther(
    userId: UserId,
    room: LiveRoom,
    userRoom: UserRoom | undefined,
  ): Promise<RoomAccess> {
    const { events, visibility } = this.#deps;
    const setting = await visibility.settingIn(room.nid, room.committed.state);
    const isWorldReadable = setting === 'world_readable';
    const memberNid = userRoom?.forgotten === false ? userRoom.eventNid : undefined;
    const { stays, departure } =
      memberNid === undefined ? noHistory : await membershipHistory(events, room.nid, memberNid, 1);
    const [stay] = stays;
    const wasThere = stay !== undefined && departure !== undefined;
    return this.#make(userId, room, {
      standing: wasThere ? 'departed' : isWorldReadable ? 'onlooker' : 'outsider',
      stayFrom: wasThere ? stay.from : Number.POSITIVE_INFINITY,
      departure: wasThere ? departure : undefined,
      isWorldReadable,
      memberNid,
    });
  }

  #make<Room extends ReadableRoom>(
    userId: UserId,
    room: Room,
    { standing, stayFrom, departure, isWorldReadable, memberNid }: History,
  ): RoomAccess<Room> {
    const { position } = this.#deps.log;
    return new RoomAccess(this.#deps, {
      userId,
      room,
      standing,
      stayFrom,
      departure,
      isWorldReadable,
      memberNid,
      position,
    });
  }
}

export const eventNotFound = () => matrixError('M_NOT_FOUND', 'Event not found');
