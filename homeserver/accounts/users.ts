/** Looking up accounts. */
import type { UserId } from '../../spec/identifiers.ts';
import type { Database } from '../storage/database.ts';
import { deleteThreepid, type Threepid, threepidsOf } from '../storage/threepids.ts';
import { existingUsers, type User, userById } from '../storage/users.ts';

export class Users {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Deactivated accounts are found too. */
  get(userId: UserId): Promise<User | undefined> {
    return userById(this.#database, userId);
  }

  /** Which of these have an account here, deactivated ones included. */
  existing(userIds: readonly UserId[]): Promise<Set<UserId>> {
    return existingUsers(this.#database, userIds);
  }

  /** E-mail addresses and telephone numbers of an account. */
  threepids(userId: UserId): Promise<Threepid[]> {
    return threepidsOf(this.#database, userId);
  }

  /** Whether the account had it. */
  removeThreepid(userId: UserId, medium: string, address: string): Promise<boolean> {
    return this.#database.transaction((tx) => deleteThreepid(tx, userId, medium, address));
  }
}
