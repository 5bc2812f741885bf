/** The rooms two people are both in. */
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { mutualRoomIds } from '../storage/snapshots.ts';

export class MutualRooms {
  readonly #db: Db;

  constructor(db: Db) {
    this.#db = db;
  }

  /** In the order of their ids. */
  between(one: UserId, other: UserId): Promise<RoomId[]> {
    return mutualRoomIds(this.#db, one, other);
  }
}
