/**
 * What one answer to a query of keys may weigh. Keys of one person are bounded where they are stored;
 * ten thousand people's may be asked for at once.
 */
import type { UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { keysBeyond } from '../storage/key-sizes.ts';

/** Some ten thousand devices, and more than any one person may have. */
const maxAnswerBytes = 16 * 1_024 * 1_024;

export class KeyAnswerBudget {
  readonly #db: Db;
  #leftBytes = maxAnswerBytes;
  /** One measures at a time: what the next may take is known when this has taken. */
  #measuring: Promise<unknown> = Promise.resolve();

  constructor(db: Db) {
    this.#db = db;
  }

  /** Takes what is stored of these people's keys; those whose keys do not fit are given back. */
  takeStored(userIds: readonly UserId[]): Promise<ReadonlySet<UserId>> {
    const taking = this.#measuring.then(async () => {
      const { leftOut, bytes } = await keysBeyond(this.#db, userIds, this.#leftBytes);
      this.#leftBytes -= bytes;
      return leftOut;
    });
    this.#measuring = taking.catch(() => undefined);
    return taking;
  }

  /** Whether there was room for something of this size. */
  take(bytes: number): boolean {
    if (bytes > this.#leftBytes) return false;
    this.#leftBytes -= bytes;
    return true;
  }
}
