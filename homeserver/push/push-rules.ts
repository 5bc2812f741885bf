/**
 * Everybody's push rules: stored through the log as what people have changed about the predefined
 * ones, and kept in memory, compiled, while they are in use.
 * https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
import { isDeepStrictEqual } from 'node:util';
import { LRUCache } from 'lru-cache';
import { matrixError } from '../../spec/errors.ts';
import { fitsInBytes, type UserId } from '../../spec/identifiers.ts';
import { NO_USER_PUSH_RULES, type UserPushRules } from '../../spec/push-rules/user-rules.ts';
import { inBatches } from '../in-batches.ts';
import { KeyedQueue } from '../keyed-queue.ts';
import { LoadingCache } from '../loading-cache.ts';
import { type Owners, soleOwner, whereOwned } from '../owners.ts';
import type { Db } from '../storage/database.ts';
import { type PushRulesRow, pushRulesOf, pushRulesSection } from '../storage/push-rules.ts';
import { freshGround, type Log, LogWriteFailed, rowsOf } from '../streams/log.ts';
import type { Notifier } from '../streams/notifier.ts';
import { UserRules } from './user-rules.ts';

export interface PushRulesDeps {
  readonly db: Db;
  readonly log: Log;
  readonly notifier: Notifier;
  /** Of the users. Undefined: this process alone. */
  readonly owners?: Owners;
}

type Change = (stored: UserPushRules) => UserPushRules;

/** What a person may change about their rules, as JSON: sync carries all of it at every change. */
const maxBytes = 262_144;
/** People. */
const maxReadTogether = 50;
/** How often other processes may be quicker to change them. */
const maxTries = 50;

export class PushRules {
  readonly #deps: PushRulesDeps;
  readonly #cache: LoadingCache<UserId, UserRules>;
  /** The last change to each person's rules: they take turns. */
  readonly #turns = new KeyedQueue<UserId>();

  constructor(deps: PushRulesDeps, maxUsers = 10_000) {
    this.#deps = deps;
    const load = inBatches((userIds: readonly UserId[]) => pushRulesOf(deps.db, userIds), {
      maxWeight: maxReadTogether,
    });
    this.#cache = new LoadingCache(
      new LRUCache<UserId, UserRules>({ max: maxUsers }),
      async (userId) => userRulesFrom(userId, await load(userId)),
    );
    deps.log.onRows(pushRulesSection, (rows) => {
      for (const row of rows) this.#cache.set(row.userId, userRulesFrom(row.userId, row));
      deps.notifier.mark(rows.map(({ userId }) => userId));
    });
  }

  /** At once when they are in memory. */
  of(userId: UserId): UserRules | Promise<UserRules> {
    return this.#cache.get(userId);
  }

  /**
   * Replaces what a person has changed by what `change` makes of it, once that is durable. Errors
   * of `change` are passed on and leave everything as it was.
   * @throws MatrixError M_TOO_LARGE
   */
  change(userId: UserId, change: Change): Promise<void> {
    const here = () =>
      this.#turns.run(userId, async () => {
        const { stored } = await this.of(userId);
        await this.#put(userId, change(stored));
      });
    const there = () => this.#turns.run(userId, () => this.#changeThere(userId, change));
    return whereOwned(this.#owners, userId, here, there);
  }

  /** Where another process takes the turns: it replaces what was read, as long as it is still that. */
  async #changeThere(userId: UserId, change: Change): Promise<void> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      const stored = await this.#read(userId);
      const args = [userId, stored, change(stored)];
      if (await this.#owners.ask(userId, 'pushRules.replace', args)) return;
    }
    throw new LogWriteFailed('The rules are being changed over and over');
  }

  /** Replaces what a person has changed if it is what it was: whether it was. */
  replace(userId: UserId, before: UserPushRules, stored: UserPushRules): Promise<boolean> {
    return this.#turns.run(userId, async () => {
      if (!isDeepStrictEqual(await this.#read(userId), before)) return false;
      await this.#put(userId, stored);
      return true;
    });
  }

  /** As others may have written it a moment ago. */
  async #read(userId: UserId): Promise<UserPushRules> {
    const rows = await pushRulesOf(this.#deps.db, [userId]);
    return userRulesFrom(userId, rows.get(userId)).stored;
  }

  get #owners(): Owners {
    return this.#deps.owners ?? soleOwner;
  }

  /** Memory may be wrong: everything is read again. */
  reset(): void {
    this.#cache.clear();
  }

  async #put(userId: UserId, stored: UserPushRules): Promise<void> {
    const json = JSON.stringify(stored);
    if (!fitsInBytes(json, maxBytes)) {
      throw matrixError('M_TOO_LARGE', `Push rules may have ${maxBytes} bytes`);
    }
    const row: PushRulesRow = { userId, rules: json, streamPos: 0 };
    await this.#deps.log.append({
      parts: [rowsOf(pushRulesSection, [row])],
      ground: freshGround(userId),
    });
  }
}

const userRulesFrom = (userId: UserId, row: PushRulesRow | undefined): UserRules =>
  row === undefined
    ? new UserRules(userId, NO_USER_PUSH_RULES, 0)
    : new UserRules(userId, JSON.parse(row.rules) as UserPushRules, row.streamPos);
