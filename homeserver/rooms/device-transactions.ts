/**
 * The transaction ids that clients have used, so that a repeated request is answered with the event
 * it made the first time. https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers
 *
 * The events themselves record their transaction, and the database takes none twice. Memory is there
 * to spare the look: of a device that had few transactions when it was loaded all are known since, the
 * newest with their events and older ones in a few bits, so an id that is not among them is new. Of
 * others the newest are known, and an id that is not among them is looked up.
 *
 * Known in the process that sends for the user, and in no other; where it dies the database knows.
 */
import type { DeviceId, EventId, UserId } from '../../spec/identifiers.ts';
import { BoundedCache } from '../bounded-cache.ts';
import { LoadingCache } from '../loading-cache.ts';
import type { Db } from '../storage/database.ts';
import {
  deviceTransactions,
  type EventTransaction,
  eventOfTransaction,
} from '../storage/event-transactions.ts';
import { type Log, LogWriteFailed } from '../streams/log.ts';
import { LAYER_BYTES, SeenIds } from './seen-ids.ts';

export interface DeviceTransactionsOptions {
  /** Transactions known of one device, at most. */
  readonly maxPerDevice?: number;
  /** Of all devices together; some 250 bytes each. */
  readonly maxTransactions?: number;
}

/** What a layer of older ones weighs beside one of the newest. */
const LAYER_TRANSACTIONS = LAYER_BYTES / 250;

/** What a device has sent, oldest first: the path of the request to the event. */
interface Known {
  readonly events: Map<string, EventId>;
  /** What else it has sent; undefined where that is not known. */
  older: SeenIds | undefined;
}

/** Whether the device can have sent this, which is not among the newest. */
const mayBeOlder = ({ older }: Known, path: string): boolean => older?.mayHave(path) ?? true;

export class DeviceTransactions {
  readonly #db: Db;
  readonly #log: Log;
  readonly #maxPerDevice: number;
  readonly #maxTransactions: number;
  readonly #devices: LoadingCache<string, Known>;
  /** Those being sent, by device and path. */
  readonly #running = new Map<string, Promise<EventId>>();
  #held = 0;

  constructor(db: Db, log: Log, options: DeviceTransactionsOptions = {}) {
    this.#db = db;
    this.#log = log;
    this.#maxPerDevice = options.maxPerDevice ?? 500;
    this.#maxTransactions = options.maxTransactions ?? 200_000;
    this.#devices = new LoadingCache(new BoundedCache<string, Known>(10_000), (device) =>
      this.#load(device),
    );
  }

  /**
   * Runs `send` unless the device has used this transaction before, however long ago; two requests
   * at the same time share one run. Where the outcome of a run was lost, what there is is looked up.
   */
  once(
    user: UserId,
    device: DeviceId,
    transaction: EventTransaction,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const owner = `${user} ${device}`;
    const path = pathOf(transaction);
    const request = `${owner}\n${path}`;
    const running = this.#running.get(request);
    if (running !== undefined) return running;
    const known = this.#devices.peek(owner);
    const eventId = known?.events.get(path);
    if (eventId !== undefined) return Promise.resolve(eventId);
    const isNew = known !== undefined && !mayBeOlder(known, path);
    const found = isNew ? send() : this.#sendUnknown(owner, transaction, send);
    const run = found.then(
      (id) => {
        this.#running.delete(request);
        this.#remember(owner, path, id);
        return id;
      },
      (error) => this.#afterFailure(request, owner, transaction, error),
    );
    this.#running.set(request, run);
    return run;
  }

  forget(): void {
    this.#devices.clear();
    this.#held = 0;
  }

  async #sendUnknown(
    owner: string,
    transaction: EventTransaction,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const known = await this.#devices.get(owner);
    const path = pathOf(transaction);
    const eventId = known.events.get(path);
    if (eventId !== undefined) return eventId;
    return (mayBeOlder(known, path) ? await this.#find(owner, transaction) : undefined) ?? send();
  }

  /** @throws the failure, unless the transaction has been carried out all the same */
  async #afterFailure(
    request: string,
    owner: string,
    transaction: EventTransaction,
    error: unknown,
  ): Promise<EventId> {
    try {
      const found =
        error instanceof LogWriteFailed ? await this.#find(owner, transaction) : undefined;
      if (found === undefined) throw error;
      return found;
    } finally {
      this.#running.delete(request);
    }
  }

  async #find(owner: string, transaction: EventTransaction): Promise<EventId | undefined> {
    // While the log has lost its session nobody knows yet what was written.
    if (!this.#log.isOpen) await this.#log.settled();
    const [user, device] = partsOf(owner);
    return eventOfTransaction(this.#db, user, device, transaction);
  }

  #remember(owner: string, path: string, eventId: EventId): void {
    const known = this.#devices.peek(owner);
    if (known === undefined) return;
    known.events.set(path, eventId);
    this.#held += 1;
    if (known.events.size > this.#maxPerDevice) {
      const layersBefore = known.older?.layers ?? 0;
      for (const oldest of known.events.keys()) {
        if (known.events.size <= this.#maxPerDevice / 2) break;
        known.events.delete(oldest);
        if (known.older?.add(oldest) === false) known.older = undefined;
      }
      const added = Math.max(0, (known.older?.layers ?? 0) - layersBefore);
      this.#held += added * LAYER_TRANSACTIONS;
    }
    // Devices come back with one query each.
    if (this.#held > this.#maxTransactions) this.forget();
  }

  async #load(owner: string): Promise<Known> {
    if (!this.#log.isOpen) await this.#log.settled();
    const [user, device] = partsOf(owner);
    const all = await deviceTransactions(this.#db, user, device, this.#maxPerDevice / 2);
    const events = new Map((all ?? []).map((made) => [pathOf(made), made.eventId]));
    this.#held += events.size;
    return { events, older: all === undefined ? undefined : new SeenIds() };
  }
}

const pathOf = ({ roomId, type, target, txnId }: EventTransaction): string =>
  `${roomId}\n${type}\n${target ?? ''}\n${txnId}`;

/** User ids have no space. */
const partsOf = (owner: string): [user: string, device: string] => {
  const at = owner.indexOf(' ');
  return [owner.slice(0, at), owner.slice(at + 1)];
};
