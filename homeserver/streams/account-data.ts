/**
 * What users keep about themselves and their rooms, followed by all of their devices.
 * https://spec.matrix.org/v1.19/client-server-api/#client-config
 */
import { isDeepStrictEqual } from 'node:util';
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { fitsInBytes, isUserId, type RoomId, type UserId } from '../../spec/identifiers.ts';
import { type AccountDataLimits, AccountDataQuota } from '../accounts/account-data-quota.ts';
import { clientDataLimits } from '../accounts/client-data-limits.ts';
import { inBatches } from '../in-batches.ts';
import { KeyedQueue } from '../keyed-queue.ts';
import { LoadingCache } from '../loading-cache.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import { type Owners, soleOwner, whereOwned } from '../owners.ts';
import {
  type AccountDataRow,
  accountDataBetween,
  accountDataEntries,
  accountDataEntry,
  accountDataOf,
  accountDataSection,
  deleteAccountDataOf,
} from '../storage/account-data.ts';
import type { Db } from '../storage/database.ts';
import { newestAccountData } from '../storage/newest-rows.ts';
import { freshGround, type Log, LogWriteFailed, rowsOf } from './log.ts';
import { LogTail } from './log-tail.ts';
import type { Notifier } from './notifier.ts';

export type { AccountDataRow } from '../storage/account-data.ts';

const ignoredListType = 'm.ignored_user_list';
/** Room for the content of the largest events, whose limit clients know. */
const maxContentBytes = clientDataLimits.accountData.bytesEach;
const maxTypeBytes = 255;

export interface AccountDataDeps {
  readonly db: Db;
  readonly log: Log;
  readonly notifier: Notifier;
  readonly budget: MemoryBudget;
  /** Of the users. Undefined: this process alone. */
  readonly owners?: Owners;
  /** The usual ones unless given. */
  readonly limits?: AccountDataLimits;
}

type Ignored = ReadonlySet<UserId>;

type Change = (content: JsonObject | undefined) => JsonObject | undefined;

/** How often other processes may be quicker to change an entry. */
const maxTries = 50;

export class AccountData {
  readonly #deps: AccountDataDeps;
  readonly #recent: LogTail<UserId, AccountDataRow>;
  readonly #quota: AccountDataQuota;
  readonly #ignored: LoadingCache<UserId, Ignored>;
  /** The last change to an entry, by user: read-change-write cycles take turns. */
  readonly #turns = new KeyedQueue<UserId>();

  constructor(deps: AccountDataDeps, maxUsers = 20_000) {
    this.#deps = deps;
    this.#recent = new LogTail(deps.log.position, {
      maxBytes: deps.budget.bytesFor('accountData'),
      weigh: ({ content }) => content.length,
    });
    deps.budget.holds('accountData', () => this.#recent.bytes);
    this.#quota = new AccountDataQuota(deps.db, deps.limits);
    const load = inBatches((userIds: readonly UserId[]) =>
      accountDataEntries(deps.db, userIds, '', ignoredListType),
    );
    this.#ignored = new LoadingCache(
      new LRUCache<UserId, Ignored>({ max: maxUsers }),
      async (userId) => ignoredIn(contentOf(await load(userId))),
    );
    deps.log.onRows(accountDataSection, (rows) => {
      for (const row of rows) this.#follow(row);
    });
  }

  /**
   * Sets an entry of the account, or of one room with `roomId`. Empty content is how an entry is
   * taken back: devices are told of it, and it is left out of a first sync.
   * @throws MatrixError M_TOO_LARGE, M_INVALID_PARAM, M_RESOURCE_LIMIT_EXCEEDED
   */
  async put(
    userId: UserId,
    roomId: RoomId | undefined,
    type: string,
    content: JsonObject,
  ): Promise<void> {
    const json = JSON.stringify(content);
    if (!fitsInBytes(json, maxContentBytes)) {
      throw matrixError('M_TOO_LARGE', `Account data may have ${maxContentBytes} bytes`);
    }
    if (!fitsInBytes(type, maxTypeBytes)) {
      throw matrixError('M_INVALID_PARAM', `A type may have ${maxTypeBytes} bytes`);
    }
    const counting = this.#quota.take(userId, roomId ?? '', type, Buffer.byteLength(json));
    if (counting !== undefined) await counting;
    const row: AccountDataRow = { userId, roomId: roomId ?? '', type, content: json, streamPos: 0 };
    await this.#deps.log.append({
      parts: [rowsOf(accountDataSection, [row])],
      ground: freshGround(userId),
    });
  }

  /** Deletes everything of a user who is gone for good: no device is left to be told. */
  async erase(userId: UserId): Promise<void> {
    await deleteAccountDataOf(this.#deps.db, userId);
    this.#ignored.forget(userId);
    this.#quota.forget(userId);
  }

  /** Changes an entry by what it is now; `change` returning undefined leaves it alone. */
  update(userId: UserId, roomId: RoomId | undefined, type: string, change: Change): Promise<void> {
    const here = () =>
      this.#turns.run(userId, async () => {
        const changed = change(await this.get(userId, roomId, type));
        if (changed !== undefined) await this.put(userId, roomId, type, changed);
      });
    const there = () =>
      this.#turns.run(userId, () => this.#updateThere(userId, roomId, type, change));
    return whereOwned(this.#owners, userId, here, there);
  }

  /** Where another process takes the turns: it replaces what was read, as long as it is still that. */
  async #updateThere(
    userId: UserId,
    roomId: RoomId | undefined,
    type: string,
    change: Change,
  ): Promise<void> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      const content = await this.get(userId, roomId, type);
      const changed = change(content);
      if (changed === undefined) return;
      const args = [userId, roomId, type, content, changed];
      if (await this.#owners.ask(userId, 'accountData.replace', args)) return;
    }
    throw new LogWriteFailed('The entry is being changed over and over');
  }

  /** Sets an entry if it is what it was: whether it was. */
  replace(
    userId: UserId,
    roomId: RoomId | undefined,
    type: string,
    before: JsonObject | undefined,
    content: JsonObject,
  ): Promise<boolean> {
    return this.#turns.run(userId, async () => {
      const present = await this.get(userId, roomId, type);
      if (!isDeepStrictEqual(present, before)) return false;
      await this.put(userId, roomId, type, content);
      return true;
    });
  }

  get #owners(): Owners {
    return this.#deps.owners ?? soleOwner;
  }

  async get(
    userId: UserId,
    roomId: RoomId | undefined,
    type: string,
  ): Promise<JsonObject | undefined> {
    return contentOf(await accountDataEntry(this.#deps.db, userId, roomId ?? '', type));
  }

  /** Every entry that says something, of the account and of all rooms. */
  async all(userId: UserId): Promise<AccountDataRow[]> {
    const rows = await accountDataOf(this.#deps.db, userId);
    return rows.filter(({ content }) => content !== '{}');
  }

  /** Entries with `from < position <= to`, each once, oldest change first. */
  changesSince(
    userId: UserId,
    from: number,
    to: number,
  ): AccountDataRow[] | Promise<AccountDataRow[]> {
    const recent = this.#recent.between(userId, from, to);
    if (recent === undefined) return accountDataBetween(this.#deps.db, userId, from, to);
    if (recent.length < 2) return recent;
    const latest = new Map<string, AccountDataRow>();
    for (const row of recent) {
      const key = `${row.roomId} ${row.type}`;
      latest.delete(key);
      latest.set(key, row);
    }
    return [...latest.values()];
  }

  /** Position of the user's last change since this process started, if any. */
  lastChange(userId: UserId): number | undefined {
    return this.#recent.lastChange(userId);
  }

  /**
   * Whom a user ignores: https://spec.matrix.org/v1.19/client-server-api/#ignoring-users. At once
   * when it is in memory.
   */
  ignoredUsers(userId: UserId): Ignored | Promise<Ignored> {
    return this.#ignored.get(userId);
  }

  /** Takes the newest changes after a position into memory. */
  async fill(after: number): Promise<void> {
    const { db, budget } = this.#deps;
    const upTo = this.#recent.completeAfter;
    const newest = await newestAccountData(db, after, budget.bytesFor('accountData'));
    this.#recent.fill(upTo, newest.completeAfter, newest.rows);
  }

  /** Memory may be wrong: nothing up to this position is answered from it. */
  reset(position: number): void {
    this.#recent.reset(position);
    this.#ignored.clear();
  }

  #follow(row: AccountDataRow): void {
    this.#recent.add(row.userId, row.streamPos, row);
    if (row.type === ignoredListType && row.roomId === '') {
      this.#ignored.set(row.userId, ignoredIn(JSON.parse(row.content) as JsonObject));
    }
    this.#deps.notifier.mark([row.userId]);
  }
}

const contentOf = (row: AccountDataRow | undefined): JsonObject | undefined =>
  row && (JSON.parse(row.content) as JsonObject);

const ignoredIn = (content: JsonObject | undefined): Ignored => {
  const users = content?.['ignored_users'];
  if (typeof users !== 'object' || users === null || Array.isArray(users)) return new Set();
  return new Set(Object.keys(users).filter(isUserId));
};
