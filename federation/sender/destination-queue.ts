/**
 * What one server is still to get, sent one transaction at a time.
 *
 * A queue is *live* while it holds everything its destination lacks in memory. When that grows too
 * long, or the destination fails, the queue lets go of it and is *behind*: it remembers only up to
 * where everything has arrived (`delivered`) and reads the rest from the log. Memory is bounded and
 * nothing is lost, however long the destination is away.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */
import type { Clock } from '../../homeserver/clock.ts';
import type { Logger } from '../../homeserver/ops/logger.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { DestinationHealth } from '../destinations/destination-health.ts';
import { FederationError } from '../federation-error.ts';
import type { FederationClient } from '../http-client.ts';
import type { RequestSlots } from '../request-slots.ts';
import { uri } from '../uri.ts';
import { EphemeralEdus } from './ephemeral-edus.ts';
import type { EphemeralEdu, OutboundItem, OutboundSource } from './outbound-source.ts';
import { isRefusal, RefusedTransactions } from './refused-transactions.ts';
import type { SenderMetrics } from './sender-metrics.ts';
import { buildTransaction, MAX_EDUS, type Transaction } from './transaction.ts';

export interface QueueServices {
  readonly origin: ServerName;
  readonly client: FederationClient;
  readonly health: DestinationHealth;
  readonly source: OutboundSource;
  readonly slots: RequestSlots;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<SenderMetrics, 'setAside'> | undefined;
  readonly freshTxnId: () => string;
  /** Awaited before each transaction: hundreds of queues may have something at the same time. */
  readonly giveWay: () => Promise<void> | undefined;
  /** Aborted when what is under way may not go on. */
  readonly signal: AbortSignal;
}

const MAX_LIVE_ITEMS = 200;
/** The receiver answers only when it has worked through the transaction. */
const TRANSACTION_TIMEOUT_MS = 120_000;
/** An error for each PDU, if it must be. */
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_ANSWER_VALUES = 2_000;
/** A failed transaction is repeated as it was if this soon and small; else it is put together anew. */
const MAX_REPEAT_AGE_MS = 60_000;
const MAX_REPEAT_LENGTH = 64 * 1024;
const MIN_TIMER_MS = 20;

export class DestinationQueue {
  readonly #destination: ServerName;
  readonly #services: QueueServices;
  readonly #ephemeral = new EphemeralEdus();
  #live: OutboundItem[] = [];
  #isBehind = false;
  /** Everything at or below this position has arrived. */
  #delivered: number;
  /** The highest position known to be for this destination. */
  #latest = 0;
  #inFlight: Transaction | undefined;
  /** A failed transaction that is to be repeated. */
  #repeat: Transaction | undefined;
  /**
   * A failed transaction too old or large to be kept, by its id and last item: the same items go
   * out under the same id before anything else, in case only the answer was lost.
   */
  #unanswered: { readonly txnId: string; readonly upTo: number } | undefined;
  readonly #refused = new RefusedTransactions();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** @param delivered everything at or below it has arrived already */
  constructor(destination: ServerName, delivered: number, services: QueueServices) {
    this.#destination = destination;
    this.#delivered = delivered;
    this.#services = services;
  }

  /** Since where the destination lacks something; `undefined` when it has everything. */
  get lacksAfter(): number | undefined {
    const hasAll =
      !this.#isBehind &&
      this.#live.length === 0 &&
      this.#repeat === undefined &&
      (this.#inFlight?.items.length ?? 0) === 0;
    return hasAll ? undefined : this.#delivered;
  }

  /** Whether there is nothing left that would be lost with this object. */
  get isIdle(): boolean {
    return (
      this.lacksAfter === undefined && this.#running === undefined && this.#ephemeral.size === 0
    );
  }

  get delivered(): number {
    return this.#delivered;
  }

  /** Items come in rising order of position. */
  offer(item: OutboundItem): void {
    if (item.position <= this.#delivered) return;
    if (this.lacksAfter === undefined) this.#delivered = item.position - 1;
    this.#latest = item.position;
    if (!this.#isBehind) this.#live.push(item);
    if (this.#live.length > MAX_LIVE_ITEMS) this.#fallBehind();
    this.wake();
  }

  offerEphemeral(edu: EphemeralEdu): void {
    this.#ephemeral.add(edu, this.#services.health.isFailing(this.#destination));
    this.wake();
  }

  /** For a destination that was behind when the process ended. */
  resume(): void {
    this.#isBehind = true;
    this.wake();
  }

  /** Goes to work unless it is at work, the destination is left alone, or there is nothing to do. */
  wake(): void {
    if (this.#isClosed || this.#running !== undefined) return;
    if (this.lacksAfter === undefined && this.#ephemeral.size === 0) return;
    const waitMs =
      this.#services.health.retryAtMs(this.#destination) - this.#services.clock.nowMs();
    clearTimeout(this.#timer);
    if (waitMs > 0) {
      this.#fallBehind();
      this.#timer = setTimeout(() => this.wake(), Math.max(MIN_TIMER_MS, waitMs));
      this.#timer.unref();
      return;
    }
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
      // Something may have come while the work was ending.
      this.wake();
    });
  }

  /** Starts nothing more; resolves when the transaction under way has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #fallBehind(): void {
    if (this.#live.length > 0) this.#isBehind = true;
    this.#live = [];
  }

  /** Sends one transaction after the other until there is nothing more to send, or one fails. */
  async #work(): Promise<void> {
    const { slots, logger } = this.#services;
    const wish = { destination: this.#destination };
    try {
      let goOn = true;
      while (goOn && !this.#isClosed) {
        goOn = await slots.run(wish, () => this.#sendNext());
      }
    } catch (error) {
      // A bug or the database; the log still has everything, so it is tried again.
      logger.error({ err: error, destination: this.#destination }, 'sending failed');
      this.#inFlight = undefined;
      this.#isBehind = true;
      this.#fallBehind();
      this.#services.health.failed(this.#destination, this.#services.clock.nowMs());
    }
  }

  async #sendNext(): Promise<boolean> {
    await this.#services.giveWay();
    if (this.#refused.isShutOut && !(await this.#isHeard())) return false;
    const next = await this.#next();
    if (next === undefined) return false;
    if (next === 'look again') return true;
    const startedMs = this.#services.clock.nowMs();
    try {
      await this.#send(next);
    } catch (error) {
      this.#inFlight = undefined;
      if (isRefusal(error)) return this.#wasRefused(next, error, startedMs);
      this.#failed(next, error, startedMs);
      return false;
    }
    this.#inFlight = undefined;
    this.#refused.accepted();
    this.#repeat = undefined;
    this.#unanswered = undefined;
    this.#delivered = Math.max(this.#delivered, next.items.at(-1)?.position ?? 0);
    return true;
  }

  async #send({ txnId, body }: Pick<Transaction, 'txnId' | 'body'>): Promise<void> {
    await this.#services.client.request({
      destination: this.#destination,
      method: 'PUT',
      path: uri`/_matrix/federation/v1/send/${txnId}`,
      canonicalBody: body,
      purpose: 'transaction',
      timeoutMs: TRANSACTION_TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
      maxValues: MAX_ANSWER_VALUES,
      refusal: this.#refused.isSuspicious ? 'caller_judges' : 'failure',
      signal: this.#services.signal,
    });
  }

  /** Whether the destination takes transactions of ours at all: it is sent an empty one. */
  async #isHeard(): Promise<boolean> {
    const { origin, clock, freshTxnId: freshId } = this.#services;
    const startedMs = clock.nowMs();
    const nothing = { origin, items: [], ephemeral: [], nowMs: startedMs, freshId };
    try {
      const { body } = buildTransaction(nothing);
      await this.#send({ txnId: freshId(), body });
      this.#refused.answeredNothing(true);
      return true;
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      if (isRefusal(error)) this.#refused.answeredNothing(false);
      const { health, signal } = this.#services;
      if (!signal.aborted) health.failed(this.#destination, startedMs);
      return false;
    }
  }

  /** Returns whether to go on at once. */
  async #wasRefused(transaction: Transaction, error: Error, startedMs: number): Promise<boolean> {
    const step = this.#refused.refused(transaction);
    if (step === 'repeat') {
      this.#failed(transaction, error, startedMs);
      return false;
    }
    // It was not taken in, so nothing has to travel under its id again.
    this.#repeat = undefined;
    this.#unanswered = undefined;
    if (transaction.items.length > 0) this.#isBehind = true;
    this.#fallBehind();
    const { logger, metrics } = this.#services;
    if (step === 'less') return true;
    if (!(await this.#isHeard())) return false;
    for (const { kind, id, position } of transaction.items) {
      const what = { err: error, destination: this.#destination, kind, id };
      logger.warn(what, 'a server refuses this, and does not get it');
      metrics?.setAside(kind);
      this.#delivered = Math.max(this.#delivered, position);
    }
    return true;
  }

  /**
   * Chooses what to send and makes it `#inFlight` in the same step, so that at no moment it is
   * neither waiting nor under way.
   */
  async #next(): Promise<Transaction | 'look again' | undefined> {
    const { origin, source, clock, freshTxnId } = this.#services;
    const nowMs = clock.nowMs();
    if (this.#repeat !== undefined) {
      if (nowMs - this.#repeat.builtAtMs <= MAX_REPEAT_AGE_MS) {
        this.#inFlight = this.#repeat;
        return this.#repeat;
      }
      this.#letGo(this.#repeat);
    }
    const unanswered = this.#unanswered;
    let items: readonly OutboundItem[] = [];
    if (this.#isBehind) {
      const page = await source.readFor(this.#destination, this.#delivered, this.#refused.maxItems);
      items =
        unanswered === undefined
          ? page.items
          : page.items.filter(({ position }) => position <= unanswered.upTo);
      if (items.length === 0) {
        this.#unanswered = undefined;
        if (page.items.length > 0) return 'look again';
        this.#delivered = Math.max(this.#delivered, page.upTo);
        // Whatever was offered since the log was read is in the log by now.
        this.#isBehind = this.#latest > page.upTo;
        return 'look again';
      }
    } else {
      items = this.#live.splice(0, this.#refused.maxItems);
    }
    const durableEdus = items.filter(({ kind }) => kind === 'edu').length;
    const isBare = unanswered !== undefined || (this.#refused.isSuspicious && items.length > 0);
    const ephemeral = isBare ? [] : this.#ephemeral.take(MAX_EDUS - durableEdus);
    if (items.length + ephemeral.length === 0) return undefined;
    const built = buildTransaction({ origin, items, ephemeral, nowMs, freshId: freshTxnId });
    this.#inFlight = unanswered === undefined ? built : { ...built, txnId: unanswered.txnId };
    return this.#inFlight;
  }

  #failed(transaction: Transaction, error: unknown, startedMs: number): void {
    const { health, logger, signal } = this.#services;
    // Also for what the client does not hold against a server, so that there is always a pause.
    if (!signal.aborted) health.failed(this.#destination, startedMs);
    const expected = error instanceof FederationError;
    logger[expected ? 'debug' : 'error'](
      { err: error, destination: this.#destination, txnId: transaction.txnId },
      'a transaction was not accepted',
    );
    if (transaction.items.length > 0) this.#isBehind = true;
    this.#fallBehind();
    if (transaction.body.length <= MAX_REPEAT_LENGTH) this.#repeat = transaction;
    else this.#letGo(transaction);
  }

  #letGo({ txnId, items, ephemeral }: Transaction): void {
    this.#repeat = undefined;
    this.#ephemeral.putBack(ephemeral);
    const last = items.at(-1);
    this.#unanswered = last === undefined ? undefined : { txnId, upTo: last.position };
  }
}
