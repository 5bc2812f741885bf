/**
 * Delivers to other servers what the log has for them: a reader of the log with one cursor for
 * itself and one for each destination that lacks something.
 *
 * Handing an event to its destinations touches memory only. About once a second one transaction
 * stores how far the log has been handed out, together with the destinations that had not received
 * everything by then; a destination that is not among them has everything up to there. After a
 * crash, what was sent since the last such moment is sent again, and recognised by its event ids.
 */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../../homeserver/clock.ts';
import type { Logger } from '../../homeserver/ops/logger.ts';
import type { Random } from '../../homeserver/random.ts';
import type { Database } from '../../homeserver/storage/database.ts';
import {
  destinationsBehind,
  dispatchedPosition,
  saveSenderProgress,
} from '../../homeserver/storage/destinations.ts';
import { turns } from '../../homeserver/turns.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { DestinationHealth } from '../destinations/destination-health.ts';
import type { FederationClient } from '../http-client.ts';
import { RequestSlots } from '../request-slots.ts';
import { DestinationQueue, type QueueServices } from './destination-queue.ts';
import type { AddressedItem, EphemeralEdu, OutboundSource } from './outbound-source.ts';
import type { SenderMetrics } from './sender-metrics.ts';

export interface FederationSenderOptions {
  readonly origin: ServerName;
  readonly database: Database;
  readonly source: OutboundSource;
  readonly client: FederationClient;
  readonly health: DestinationHealth;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly isAllowed: (serverName: ServerName) => boolean;
  /** The destinations this sender serves, where several share the work; all of them by default. */
  readonly share?: { readonly name: string; owns(destination: ServerName): boolean };
  readonly maxConcurrentTransactions?: number;
  readonly saveIntervalMs?: number;
  readonly metrics?: SenderMetrics;
}

const READ_LIMIT = 500;
const RETRY_READ_MS = 1000;
const EVERYTHING = { name: 'all', owns: () => true };

export class FederationSender {
  readonly #options: FederationSenderOptions;
  readonly #share: { readonly name: string; owns(destination: ServerName): boolean };
  readonly #services: QueueServices;
  readonly #queues = new Map<ServerName, DestinationQueue>();
  /** What `destinations.sent_pos` says. */
  readonly #stored: Map<ServerName, number>;
  #storedDispatched: number;
  /** Everything at or below this position has been handed to the queues. */
  #dispatched: number;
  #dispatching: Promise<void> | undefined;
  #saving: Promise<void> | undefined;
  #saveTimer: NodeJS.Timeout | undefined;
  readonly #aborter = new AbortController();
  #isStopped = false;
  #isHandedOver = false;

  private constructor(
    options: FederationSenderOptions,
    dispatched: number,
    behind: Map<ServerName, number>,
  ) {
    const { origin, client, health, source, clock, random, logger } = options;
    this.#options = options;
    this.#share = options.share ?? EVERYTHING;
    this.#dispatched = dispatched;
    this.#storedDispatched = dispatched;
    this.#stored = behind;
    const prefix = random.bytes(9).toString('base64url');
    let count = 0;
    const slots = new RequestSlots({
      maxRunning: options.maxConcurrentTransactions ?? 64,
      maxRunningPerDestination: 1,
      maxRunningPerRequester: 1,
      maxWaitingPerRequester: 1,
      maxWaiting: Number.POSITIVE_INFINITY,
    });
    const freshTxnId = () => `${prefix}.${++count}`;
    const { signal } = this.#aborter;
    // Every transaction under way listens to it.
    setMaxListeners(0, signal);
    this.#services = {
      ...{ origin, client, health, source, slots, clock, logger, freshTxnId, signal },
      giveWay: turns(),
      metrics: options.metrics,
    };
  }

  /** Takes up where it was stopped. On its very first start nothing older is sent to anyone. */
  static async start(options: FederationSenderOptions): Promise<FederationSender> {
    const { database, source, health } = options;
    const share = options.share ?? EVERYTHING;
    let dispatched = await dispatchedPosition(database, share.name);
    if (dispatched === undefined) {
      dispatched = source.position();
      const first = { share: share.name, dispatchedPos: dispatched, behind: new Map() };
      await database.transaction((tx) => saveSenderProgress(tx, { ...first, caughtUp: [] }));
    }
    const behind = await destinationsBehind(database);
    for (const destination of behind.keys()) {
      if (!share.owns(destination)) behind.delete(destination);
    }
    const sender = new FederationSender(options, dispatched, behind);
    health.onHope((destination) => sender.#queues.get(destination)?.wake());
    for (const [destination, delivered] of behind) {
      sender.#queueOf(destination, delivered).resume();
    }
    source.onAdvance(() => sender.#dispatch());
    sender.#dispatch();
    sender.#saveTimer = setInterval(() => void sender.save(), options.saveIntervalMs ?? 1000);
    sender.#saveTimer.unref();
    return sender;
  }

  /** Hands an EDU to servers at once; it is not in the log and may be lost. */
  sendEphemeral(destinations: Iterable<ServerName>, edu: EphemeralEdu): void {
    if (this.#isStopped) return;
    for (const destination of destinations) {
      if (this.#serves(destination)) this.#queueOf(destination).offerEphemeral(edu);
    }
  }

  /** Hands items to their queues. Costs some microseconds for a hundred destinations. */
  dispatch(items: readonly AddressedItem[]): void {
    for (const { item, destinations } of items) {
      const startedMs = performance.now();
      let count = 0;
      for (const destination of destinations) {
        if (!this.#serves(destination)) continue;
        this.#queueOf(destination).offer(item);
        count += 1;
      }
      if (count > 0) this.#options.metrics?.enqueued(performance.now() - startedMs);
    }
  }

  /** Destinations with something waiting or under way. */
  get busyDestinations(): number {
    return this.#queues.size;
  }

  /** Lets transactions under way end, but for no longer than given, and stores the cursors. */
  async stop({ graceMs = 5000 } = {}): Promise<void> {
    await this.#end(graceMs);
    await this.#saving;
    await this.save();
  }

  /** The same for another process to go on: the cursors are that one's from now on. */
  async handOver(graceMs: number): Promise<void> {
    this.#isHandedOver = true;
    await this.#end(graceMs);
    await this.#saving;
  }

  async #end(graceMs: number): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#saveTimer);
    const impatience = setTimeout(() => this.#aborter.abort(), graceMs);
    await this.#dispatching;
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    clearTimeout(impatience);
  }

  /** Stores the cursors; failures are retried with the next interval. */
  async save(): Promise<void> {
    if (this.#isHandedOver) return;
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    await this.#saving;
  }

  #serves(destination: ServerName): boolean {
    return this.#share.owns(destination) && this.#options.isAllowed(destination);
  }

  #queueOf(destination: ServerName, delivered = this.#dispatched): DestinationQueue {
    let queue = this.#queues.get(destination);
    if (queue === undefined) {
      this.#options.health.know(destination);
      queue = new DestinationQueue(destination, delivered, this.#services);
      this.#queues.set(destination, queue);
    }
    return queue;
  }

  #dispatch(): void {
    if (this.#isStopped) return;
    this.#dispatching ??= this.#readAll().finally(() => {
      this.#dispatching = undefined;
      // The log may have grown while the last read was ending.
      if (this.#options.source.position() > this.#dispatched) this.#dispatch();
    });
  }

  async #readAll(): Promise<void> {
    const { source, logger } = this.#options;
    while (!this.#isStopped && source.position() > this.#dispatched) {
      try {
        const { items, upTo } = await source.read(this.#dispatched, READ_LIMIT);
        this.dispatch(items);
        this.#dispatched = upTo;
      } catch (error) {
        logger.error({ err: error }, 'the log could not be read for other servers');
        await new Promise((resolve) => setTimeout(resolve, RETRY_READ_MS));
      }
    }
  }

  async #save(): Promise<void> {
    const { database, logger } = this.#options;
    const dispatchedPos = this.#dispatched;
    const behind = new Map<ServerName, number>();
    const lacking = new Set<ServerName>();
    for (const [destination, queue] of this.#queues) {
      const { lacksAfter } = queue;
      if (lacksAfter !== undefined) {
        lacking.add(destination);
        if (this.#stored.get(destination) !== lacksAfter) behind.set(destination, lacksAfter);
      } else if (queue.isIdle && queue.delivered <= dispatchedPos) {
        this.#queues.delete(destination);
      }
    }
    const caughtUp = [...this.#stored.keys()].filter((destination) => !lacking.has(destination));
    const isUnchanged = dispatchedPos === this.#storedDispatched;
    if (isUnchanged && behind.size + caughtUp.length === 0) return;
    const progress = { share: this.#share.name, dispatchedPos, behind, caughtUp };
    try {
      await database.transaction((tx) => saveSenderProgress(tx, progress));
    } catch (error) {
      logger.warn({ err: error }, 'the progress of sending could not be stored');
      return;
    }
    this.#storedDispatched = dispatchedPos;
    for (const destination of caughtUp) this.#stored.delete(destination);
    for (const [destination, delivered] of behind) this.#stored.set(destination, delivered);
  }
}
