/**
 * Which rooms a user is in, from memory. A user's rooms are read once and then follow the log; every
 * row is immutable, so that a copy of the list is a snapshot.
 */
import { LRUCache } from 'lru-cache';
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { inBatches } from '../in-batches.ts';
import { roomPurges } from '../storage/abandoned-rooms.ts';
import type { Db } from '../storage/database.ts';
import { type ForgetRow, forgottenRooms } from '../storage/forgotten-rooms.ts';
import { roomsOfUsers, type UserRoomRecord } from '../storage/snapshots.ts';
import type { Log } from '../streams/log.ts';

export interface UserRoom {
  readonly roomNid: number;
  readonly roomId: RoomId;
  readonly membership: string;
  readonly eventNid: number;
  /** Position of the latest member event. */
  readonly streamPos: number;
  /** Position of the member event that brought this membership. */
  readonly membershipPos: number;
  readonly forgotten: boolean;
  /** JSON of stripped state events, for an invite or a knock. */
  readonly strippedState: string | undefined;
}

const fromRecord = (record: UserRoomRecord): UserRoom => ({
  roomNid: record.room_nid,
  roomId: record.room_id as RoomId,
  membership: record.membership,
  eventNid: record.event_nid,
  streamPos: record.stream_pos,
  membershipPos: record.membership_pos,
  forgotten: record.forgotten,
  strippedState: record.stripped_state ?? undefined,
});

type Rooms = ReadonlyMap<number, UserRoom>;

interface CachedRooms {
  readonly rooms: Map<number, UserRoom>;
  /** Position of the latest member event of any room. */
  lastChange: number;
}

/** Users; each may be in thousands of rooms. */
const maxReadTogether = 25;

export class UserRooms {
  readonly #recordsOf: (userId: UserId) => Promise<UserRoomRecord[] | undefined>;
  readonly #cache: LRUCache<UserId, CachedRooms>;
  #generation = 0;
  readonly #loading = new Map<UserId, { rooms: Promise<Rooms>; missed: UserRoom[] }>();

  constructor(db: Db, log: Log, maxUsers = 20_000) {
    this.#recordsOf = inBatches((userIds: readonly UserId[]) => roomsOfUsers(db, userIds), {
      maxWeight: maxReadTogether,
    });
    this.#cache = new LRUCache({ max: maxUsers });
    log.onRows(forgottenRooms, (rows) => {
      for (const row of rows) if (row.forgotten) this.#forget(row);
    });
    log.onRows(roomPurges, (roomNids) => {
      for (const roomNid of roomNids) this.#drop(roomNid);
    });
  }

  /** By room nid. The map is live: take what is needed before the next await. */
  of(userId: UserId): Rooms | Promise<Rooms> {
    const cached = this.#cache.get(userId);
    if (cached !== undefined) return cached.rooms;
    let loading = this.#loading.get(userId);
    if (loading === undefined) {
      const missed: UserRoom[] = [];
      loading = { missed, rooms: this.#load(userId, missed) };
      this.#loading.set(userId, loading);
    }
    return loading.rooms;
  }

  async get(userId: UserId, roomNid: number): Promise<UserRoom | undefined> {
    return (await this.of(userId)).get(roomNid);
  }

  cached(userId: UserId): Rooms | undefined {
    return this.#cache.get(userId)?.rooms;
  }

  /**
   * The position at which the user last came to a room, went or was asked to; undefined where their
   * rooms are not in memory.
   */
  lastChange(userId: UserId): number | undefined {
    return this.#cache.get(userId)?.lastChange;
  }

  /** A committed change. Users who are not in memory learn of it when they are read. */
  apply(userId: UserId, room: UserRoom): void {
    this.#loading.get(userId)?.missed.push(room);
    const cached = this.#cache.peek(userId);
    if (cached === undefined) return;
    cached.rooms.set(room.roomNid, room);
    cached.lastChange = Math.max(cached.lastChange, room.streamPos);
  }

  #forget({ userId, roomNid }: ForgetRow): void {
    const known = this.#cache.peek(userId)?.rooms.get(roomNid);
    if (known !== undefined) this.apply(userId, { ...known, forgotten: true });
  }

  /**
   * The room is no longer one of this server. Who is being read now may keep an entry, of a room they have
   * forgotten and that nobody finds.
   */
  #drop(roomNid: number): void {
    for (const { rooms } of this.#cache.values()) rooms.delete(roomNid);
  }

  clear(): void {
    this.#generation += 1;
    this.#cache.clear();
    this.#loading.clear();
  }

  async #load(userId: UserId, missed: readonly UserRoom[]): Promise<Rooms> {
    const generation = this.#generation;
    try {
      const records = (await this.#recordsOf(userId)) ?? [];
      const rooms = new Map(records.map((record) => [record.room_nid, fromRecord(record)]));
      // Commits while the query ran may or may not be in its answer.
      for (const room of missed) {
        const known = rooms.get(room.roomNid);
        if (known === undefined || known.streamPos <= room.streamPos) rooms.set(room.roomNid, room);
      }
      let lastChange = 0;
      for (const { streamPos } of rooms.values()) lastChange = Math.max(lastChange, streamPos);
      if (generation === this.#generation) this.#cache.set(userId, { rooms, lastChange });
      return rooms;
    } finally {
      if (generation === this.#generation) this.#loading.delete(userId);
    }
  }
}
