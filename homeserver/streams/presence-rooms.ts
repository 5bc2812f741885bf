/**
 * Which rooms the people are in whose presence is known, after the log's session was lost: commits
 * whose outcome was not heard of may have changed it. All are read again, so many at a time; whose
 * rooms change meanwhile is asked for once more.
 */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { joinedRoomNids } from '../storage/snapshots.ts';

const readTogether = 500;

/** Whether two people have joined one room. */
export const shareRoom = async (db: Db, one: UserId, other: UserId): Promise<boolean> => {
  const rooms = await joinedRoomNids(db, [one, other]);
  const joined = new Set(rooms.get(one));
  return rooms.get(other)?.some((roomNid) => joined.has(roomNid)) === true;
};

export class PresenceRooms {
  readonly #db: Db;
  readonly #found: (userId: UserId, roomNids: readonly number[]) => void;
  readonly #unsure = new Set<UserId>();
  /** Those being read, unless something has come in between. */
  #asked = new Set<UserId>();
  #reading: Promise<void> | undefined;

  /** @param found is told, at once after reading, which rooms a user has joined */
  constructor(db: Db, found: (userId: UserId, roomNids: readonly number[]) => void) {
    this.#db = db;
    this.#found = found;
  }

  /** What is known of these may be wrong. */
  doubt(userIds: Iterable<UserId>): void {
    for (const userId of userIds) this.#unsure.add(userId);
    this.#asked.clear();
  }

  /** A commit has told of a user's rooms: what is being read may be older. */
  changed(userId: UserId): void {
    this.#asked.delete(userId);
  }

  /** Resolves once all are read, or the database does not answer: then they stay in doubt. */
  read(): Promise<void> {
    this.#reading ??= this.#read()
      .catch(() => undefined)
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  async #read(): Promise<void> {
    while (this.#unsure.size > 0) {
      this.#asked = new Set([...this.#unsure].slice(0, readTogether));
      const rooms = await joinedRoomNids(this.#db, [...this.#asked]);
      for (const userId of this.#asked) {
        this.#unsure.delete(userId);
        this.#found(userId, rooms.get(userId) ?? []);
      }
      this.#asked.clear();
    }
  }
}
