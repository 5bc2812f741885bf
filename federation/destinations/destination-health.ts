/**
 * Which servers are being left alone, because they did not answer, and until when. Kept in memory
 * for those that fail. For those that something was to be delivered to, it is written to the database
 * at every change, so that a restart does not start knocking on a thousand dead doors. Anyone can
 * name any number of other servers: of those little is remembered and nothing written.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../homeserver/clock.ts';
import type { Logger } from '../../homeserver/ops/logger.ts';
import type { Random } from '../../homeserver/random.ts';
import type { Database } from '../../homeserver/storage/database.ts';
import {
  type DestinationChange,
  failingDestinations,
  knownDestinations,
  saveDestinationRetry,
} from '../../homeserver/storage/destinations.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { DEFAULT_RETRY_POLICY, type RetryPolicy, retryDelayMs } from './retry-policy.ts';

export interface DestinationHealthOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly policy?: RetryPolicy;
}

interface Failing {
  failureCount: number;
  retryAtMs: number;
  failedAtMs: number;
}

const MAX_REMEMBERED = 100_000;
const MAX_STRANGERS = 10_000;
/** A server that talks to us but cannot be reached is not tried more often than this. */
const MIN_RETRY_MS = 5000;

export class DestinationHealth {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #policy: RetryPolicy;
  readonly #known = new LRUCache<ServerName, true>({ max: MAX_REMEMBERED });
  readonly #failingKnown = new LRUCache<ServerName, Failing>({ max: MAX_REMEMBERED });
  readonly #failingStrangers = new LRUCache<ServerName, Failing>({ max: MAX_STRANGERS });
  readonly #listeners = new Set<(destination: ServerName) => void>();
  /** Writes of one destination follow each other; the last one waiting is enough. */
  readonly #writes = new Map<ServerName, { next: DestinationChange | undefined }>();

  private constructor(options: DestinationHealthOptions) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
    this.#policy = options.policy ?? DEFAULT_RETRY_POLICY;
  }

  static async open(options: DestinationHealthOptions): Promise<DestinationHealth> {
    const health = new DestinationHealth(options);
    for (const destination of await knownDestinations(options.database, MAX_REMEMBERED)) {
      health.#known.set(destination, true);
    }
    for (const row of await failingDestinations(options.database, MAX_REMEMBERED)) {
      const { failureCount, retryAtMs } = row;
      health.#failingKnown.set(row.destination, { failureCount, retryAtMs, failedAtMs: 0 });
    }
    return health;
  }

  /** Something is to be delivered to this server: it is none that just anybody came up with. */
  know(destination: ServerName): void {
    if (this.#known.get(destination) === true) return;
    this.#known.set(destination, true);
    const failing = this.#failingStrangers.get(destination);
    if (failing === undefined) return;
    this.#failingStrangers.delete(destination);
    this.#failingKnown.set(destination, failing);
  }

  isKnown(destination: ServerName): boolean {
    return this.#known.has(destination);
  }

  /** Before this time the destination is left alone; 0 when nothing is known against it. */
  retryAtMs(destination: ServerName): number {
    return this.#failingOf(destination)?.retryAtMs ?? 0;
  }

  isLeftAlone(destination: ServerName): boolean {
    return this.retryAtMs(destination) > this.#clock.nowMs();
  }

  /** Of the servers that something is to be delivered to, how many failed when last tried. */
  get failingCount(): number {
    return this.#failingKnown.size;
  }

  /** Whether it failed when last tried, be it left alone still or about to be tried again. */
  isFailing(destination: ServerName): boolean {
    return this.#failingOf(destination) !== undefined;
  }

  /** Called whenever a failing destination may be worth another try before its time. */
  onHope(listener: (destination: ServerName) => void): void {
    this.#listeners.add(listener);
  }

  succeeded(destination: ServerName): void {
    const wasFailing =
      this.#failingKnown.delete(destination) || this.#failingStrangers.delete(destination);
    if (!wasFailing) return;
    const lastSuccessMs = this.#clock.nowMs();
    this.#save({
      destination,
      failureCount: 0,
      retryAtMs: 0,
      lastSuccessMs,
      failedAtMs: undefined,
    });
    this.#logger.info({ destination }, 'server is reachable again');
    for (const listener of this.#listeners) listener(destination);
  }

  /**
   * Counts a failure of a request begun at `startedMs`. Requests that fail together count once.
   * @param notBeforeMs when the server itself asked to be left alone for so long
   */
  failed(destination: ServerName, startedMs: number, notBeforeMs = 0): void {
    const nowMs = this.#clock.nowMs();
    const known = this.#failingOf(destination);
    if (known !== undefined && startedMs <= known.failedAtMs) return;
    const failureCount = (known?.failureCount ?? 0) + 1;
    const fraction = this.#random.bytes(4).readUInt32BE() / 2 ** 32;
    const delayMs = retryDelayMs(this.#policy, failureCount, fraction);
    const askedMs = Math.min(notBeforeMs, nowMs + this.#policy.maxDelayMs);
    const retryAtMs = Math.max(nowMs + delayMs, askedMs);
    const failing = this.isKnown(destination) ? this.#failingKnown : this.#failingStrangers;
    failing.set(destination, { failureCount, retryAtMs, failedAtMs: nowMs });
    const lastSuccessMs = undefined;
    this.#save({ destination, failureCount, retryAtMs, lastSuccessMs, failedAtMs: nowMs });
    this.#logger.debug({ destination, failureCount, delayMs }, 'server is left alone');
  }

  /**
   * The server has sent us a request. It is tried again soon, whatever its back-off says; the count
   * of failures stays until it answers, in case it can reach us but not we it.
   */
  heardFrom(destination: ServerName): void {
    const known = this.#failingOf(destination);
    if (known === undefined) return;
    const soonMs = Math.max(this.#clock.nowMs(), known.failedAtMs + MIN_RETRY_MS);
    if (soonMs >= known.retryAtMs) return;
    known.retryAtMs = soonMs;
    for (const listener of this.#listeners) listener(destination);
  }

  #failingOf(destination: ServerName): Failing | undefined {
    return this.#failingKnown.get(destination) ?? this.#failingStrangers.get(destination);
  }

  #save(retry: DestinationChange): void {
    if (!this.isKnown(retry.destination)) return;
    const writing = this.#writes.get(retry.destination);
    if (writing !== undefined) {
      writing.next = retry;
      return;
    }
    const queue: { next: DestinationChange | undefined } = { next: retry };
    this.#writes.set(retry.destination, queue);
    void this.#drain(retry.destination, queue);
  }

  async #drain(destination: ServerName, queue: { next: DestinationChange | undefined }) {
    while (queue.next !== undefined) {
      const retry = queue.next;
      queue.next = undefined;
      await saveDestinationRetry(this.#database, retry).catch((error: Error) => {
        // Memory knows better anyway; only a restart would have needed the row.
        this.#logger.warn({ err: error, destination }, 'could not store the state of a server');
      });
    }
    this.#writes.delete(destination);
  }

  /** Waits for the writes under way. */
  async close(): Promise<void> {
    while (this.#writes.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
