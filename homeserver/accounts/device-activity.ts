/**
 * When and from where devices were last seen: remembered at every request, written in batches.
 */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import type { Database } from '../storage/database.ts';
import { recordSightings, type Sighting } from '../storage/devices.ts';
import type { DeviceRequester } from './requester.ts';

/** A device is written at most this often. */
const RESOLUTION_MS = 60_000;
const FLUSH_INTERVAL_MS = 30_000;
const BATCH = 1_000;

export class DeviceActivity {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** When each device was last noted, as long as its token is in memory. */
  readonly #noted = new WeakMap<DeviceRequester, number>();
  #pending = new Map<string, Sighting>();
  #timer: NodeJS.Timeout | undefined;

  constructor(database: Database, clock: Clock, logger: Logger) {
    this.#database = database;
    this.#clock = clock;
    this.#logger = logger;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.flush().catch((error: unknown) => {
        this.#logger.error({ err: error }, 'last-seen times of devices could not be written');
      });
    }, FLUSH_INTERVAL_MS).unref();
  }

  /** At every request of a device. */
  seen(requester: DeviceRequester, ip: string, userAgent: string | undefined): void {
    const atMs = this.#clock.nowMs();
    if (atMs - (this.#noted.get(requester) ?? Number.NEGATIVE_INFINITY) < RESOLUTION_MS) return;
    this.#noted.set(requester, atMs);
    const { userId, deviceId } = requester;
    this.#pending.set(`${userId}\u0000${deviceId}`, {
      userId,
      deviceId,
      atMs,
      ip,
      userAgent: userAgent?.slice(0, 512),
    });
  }

  /** Writes what is waiting. What cannot be written is lost: it will be seen again. */
  async flush(): Promise<void> {
    const sightings = [...this.#pending.values()];
    this.#pending = new Map();
    for (let from = 0; from < sightings.length; from += BATCH) {
      const batch = sightings.slice(from, from + BATCH);
      await this.#database.transaction((tx) => recordSightings(tx, batch));
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }
}
