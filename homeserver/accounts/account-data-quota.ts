/**
 * How much account data a person may keep. What they have is counted once and then guessed upwards
 * with every change, so that a change costs no query until the guess reaches a bound; only then it is
 * counted again. With several processes each guesses for itself and counts what all have written.
 */
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { accountDataEntry, accountDataUse } from '../storage/account-data.ts';
import type { Db } from '../storage/database.ts';
import { clientDataLimits } from './client-data-limits.ts';

interface Use {
  entries: number;
  bytes: number;
}

export interface AccountDataLimits {
  readonly entries: number;
  readonly bytes: number;
}

const MAX_USERS = 20_000;

export class AccountDataQuota {
  readonly #db: Db;
  readonly #limits: AccountDataLimits;
  /** Never less than what is there, as far as this process knows. */
  readonly #guesses = new LRUCache<UserId, Use>({ max: MAX_USERS });
  readonly #counting = new Map<UserId, Promise<void>>();

  constructor(db: Db, limits: AccountDataLimits = clientDataLimits.accountData) {
    this.#db = db;
    this.#limits = limits;
  }

  /**
   * Before an entry is written. At once in nearly all cases.
   * @throws MatrixError M_RESOURCE_LIMIT_EXCEEDED
   */
  take(
    userId: UserId,
    roomId: string,
    type: string,
    contentBytes: number,
  ): Promise<void> | undefined {
    const counting = this.#counting.get(userId);
    if (counting !== undefined) {
      // Behind it, so that entries are written in the order in which they came.
      const again = () => this.take(userId, roomId, type, contentBytes);
      return counting.then(again, again);
    }
    const bytes = contentBytes + Buffer.byteLength(roomId) + Buffer.byteLength(type);
    const guess = this.#guesses.get(userId);
    if (guess !== undefined && this.#fits(guess.entries + 1, guess.bytes + bytes)) {
      guess.entries++;
      guess.bytes += bytes;
      return undefined;
    }
    const count = this.#count(userId, roomId, type, bytes).finally(() => {
      this.#counting.delete(userId);
    });
    this.#counting.set(userId, count);
    return count;
  }

  /** Everything of this user is gone. */
  forget(userId: UserId): void {
    this.#guesses.delete(userId);
  }

  async #count(userId: UserId, roomId: string, type: string, bytes: number): Promise<void> {
    const use = await accountDataUse(this.#db, userId);
    const before = await accountDataEntry(this.#db, userId, roomId, type);
    const after = {
      entries: use.entries + (before === undefined ? 1 : 0),
      bytes: use.bytes + bytes - (before === undefined ? 0 : sizeOf(before)),
    };
    // What makes it no more may always be written, and so may what takes an entry back.
    const grows = after.entries > use.entries || after.bytes > use.bytes;
    if (grows && !this.#fits(after.entries, after.bytes)) {
      throw matrixError('M_RESOURCE_LIMIT_EXCEEDED', 'There is too much account data already');
    }
    this.#guesses.set(userId, after);
  }

  #fits(entries: number, bytes: number): boolean {
    return entries <= this.#limits.entries && bytes <= this.#limits.bytes;
  }
}

const sizeOf = (row: {
  readonly roomId: string;
  readonly type: string;
  readonly content: string;
}): number =>
  Buffer.byteLength(row.roomId) + Buffer.byteLength(row.type) + Buffer.byteLength(row.content);
