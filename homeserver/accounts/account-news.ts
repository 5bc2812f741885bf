/**
 * Telling other processes on the same database that an account or a report has changed: a command
 * beside a running server, or another process of it. Carried by PostgreSQL (`NOTIFY`), which sends
 * it with the commit. News may be lost with a connection: whoever listens forgets everything then,
 * and what is not told is found out within the minute that a token is believed.
 */
import type pg from 'pg';
import type { Logger } from 'pino';
import type { UserId } from '../../spec/identifiers.ts';
import type { Random } from '../random.ts';
import type { Database, Tx } from '../storage/database.ts';

const CHANNEL = 'parley_accounts';
const ONLY_TOKENS = 'tokens';
const RECONNECT_AFTER_MS = 1_000;

export interface AccountNewsListener {
  /** Flags, password or sessions of the account are others now, or it is deactivated. */
  accountChanged(userId: UserId): void;
  /** Tokens of the account are others now, and nothing else. */
  tokensChanged(userId: UserId): void;
  /** News may have been missed. */
  missed(): void;
}

/** Listens, once started, on a connection of its own, opened again whenever it is lost. */
export class AccountNews {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #listener: AccountNewsListener;
  /** Marks what this process says itself, which it need not hear. */
  readonly #origin: string;
  #client: pg.PoolClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(database: Database, logger: Logger, random: Random, listener: AccountNewsListener) {
    this.#origin = random.bytes(8).toString('hex');
    this.#database = database;
    this.#logger = logger;
    this.#listener = listener;
  }

  /** Part of the transaction that makes the change: nobody hears of one that is rolled back. */
  announce(tx: Tx, userId: UserId): Promise<void> {
    return this.#announce(tx, `${this.#origin} ${userId}`);
  }

  /** The same where only tokens of the account are others. */
  announceTokens(tx: Tx, userId: UserId): Promise<void> {
    return this.#announce(tx, `${this.#origin} ${userId} ${ONLY_TOKENS}`);
  }

  async #announce(tx: Tx, news: string): Promise<void> {
    await tx.query({ text: 'SELECT pg_notify($1, $2)', values: [CHANNEL, news] });
  }

  /** Resolves when it listens, or has found that it cannot yet. */
  async start(): Promise<void> {
    try {
      const client = await this.#database.pool.connect();
      if (this.#isStopped) {
        client.release();
        return;
      }
      this.#client = client;
      client.on('notification', this.#heard);
      client.once('error', this.#lost);
      // It says nothing for as long as there is no news.
      await client.query('SET idle_session_timeout = 0');
      await client.query(`LISTEN ${CHANNEL}`);
      this.#listener.missed();
    } catch (error) {
      this.#lost(error as Error);
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    const client = this.#client;
    this.#client = undefined;
    client?.off('notification', this.#heard);
    client?.off('error', this.#lost);
    // Not given to the next borrower, who would hear the news.
    client?.release(true);
  }

  readonly #heard = ({ payload }: pg.Notification): void => {
    const [origin, userId, what] = payload?.split(' ') ?? [];
    if (userId === undefined || origin === this.#origin) return;
    if (what === ONLY_TOKENS) this.#listener.tokensChanged(userId as UserId);
    else this.#listener.accountChanged(userId as UserId);
  };

  readonly #lost = (error: Error): void => {
    if (this.#isStopped) return;
    this.#logger.warn({ reason: error.message }, 'not told of account changes for a moment');
    const client = this.#client;
    this.#client = undefined;
    client?.off('notification', this.#heard);
    client?.release(error);
    this.#listener.missed();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.start(), RECONNECT_AFTER_MS).unref();
  };
}
