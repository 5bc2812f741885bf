/**
 * Accounts changed beside the running server: a command that ends sessions or changes an account
 * leaves a row, and every server forgets what it has in memory of that account within a second or so.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { accountChangesSince, deleteAccountChangesBefore } from '../storage/account-changes.ts';
import type { Database } from '../storage/database.ts';
import type { TokenCache } from './token-cache.ts';

const LOOK_EVERY_MS = 1_000;
/** Rows are looked for by their time, since a transaction may become visible behind a later one. */
const WINDOW_MS = 60_000;
const KEPT_MS = 600_000;
/** Of one look. More in a minute than this wait for tokens to be read again anyway. */
const MAX_CHANGES = 10_000;

export class OutsideChanges {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #cache: TokenCache;
  /** Numbers of those in the window that have been heeded. */
  #heeded: ReadonlySet<number> = new Set();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;

  constructor(options: {
    readonly database: Database;
    readonly clock: Clock;
    readonly logger: Logger;
    readonly cache: TokenCache;
  }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#cache = options.cache;
  }

  start(): void {
    this.#timer = setInterval(() => {
      // One at a time: a database that is away answers late.
      if (this.#isLooking) return;
      this.#isLooking = true;
      this.look()
        .catch((error: unknown) => {
          if (this.#timer === undefined) return;
          this.#logger.warn({ err: error }, 'changed accounts could not be looked for');
        })
        .finally(() => {
          this.#isLooking = false;
        });
    }, LOOK_EVERY_MS).unref();
  }

  /** A look under way has nothing to write: nobody waits for it. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Forgets the accounts that have changed since the last look. */
  async look(): Promise<void> {
    const sinceMs = this.#clock.nowMs() - WINDOW_MS;
    const changes = await accountChangesSince(this.#database, sinceMs, MAX_CHANGES);
    for (const { changeNo, userId } of changes) {
      if (!this.#heeded.has(changeNo)) this.#cache.forget({ userId, deviceIds: undefined });
    }
    this.#heeded = new Set(changes.map(({ changeNo }) => changeNo));
  }

  purge(): Promise<void> {
    const beforeMs = this.#clock.nowMs() - KEPT_MS;
    return this.#database.transaction((tx) => deleteAccountChangesBefore(tx, beforeMs));
  }
}
