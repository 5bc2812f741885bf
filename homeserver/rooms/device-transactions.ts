/**
 * The transaction ids that clients have used, so that a repeated request is answered with the event
 * it made the first time. https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers
 *
 * The events themselves record their transaction, and the database takes none twice. Memory is there
 * to spare the look: of a device that had few transactions when it was loaded all are known since, the
 * newest with their events and older ones in a few bits, so an id that is not among them is new. Of
 * others the newest are known, and an id that is not among them is looked up.
 *
 * Every process learns from the log what others have sent; what it has missed the database knows.
 */
import type { DeviceId, EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { BoundedCache } from '../bounded-cache.ts';
import { LoadingCache } from '../loading-cache.ts';
import type { Db } from '../storage/database.ts';
import { type EventRow, roomEvents } from '../storage/event-section.ts';
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

/** A transaction that has made its event, and others with its id: in other rooms, or of other types. */
interface Sent {
  readonly transaction: EventTransaction;
  readonly eventId: EventId;
  readonly others: Sent | undefined;
}

/** One that is being carried out, and others of the same device. */
interface Run {
  readonly transaction: EventTransaction;
  readonly eventId: Promise<EventId>;
  others: Run | undefined;
}

/** What a device has sent. */
interface Known {
  /** The newest, oldest first, by transaction id. */
  readonly sent: Map<string, Sent>;
  /** Transaction ids that it has used besides; undefined where that is not known. */
  older: SeenIds | undefined;
}

export class DeviceTransactions {
  readonly #db: Db;
  readonly #log: Log;
  readonly #maxPerDevice: number;
  readonly #maxTransactions: number;
  /** By user and device. */
  readonly #devices: LoadingCache<string, Known>;
  /** By user and device: few at a time, so they are looked through. */
  readonly #running = new Map<string, Run>();
  #held = 0;

  constructor(db: Db, log: Log, options: DeviceTransactionsOptions = {}) {
    this.#db = db;
    this.#log = log;
    this.#maxPerDevice = options.maxPerDevice ?? 500;
    this.#maxTransactions = options.maxTransactions ?? 200_000;
    this.#devices = new LoadingCache(new BoundedCache<string, Known>(10_000), (device) =>
      this.#load(device),
    );
    log.onRows(roomEvents, (writes, isOurs) => {
      if (isOurs) return;
      for (const { events } of writes) for (const row of events) this.#follow(row);
    });
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
    const { txnId } = transaction;
    const others = this.#running.get(owner);
    const running = runOf(others, transaction);
    if (running !== undefined) return running.eventId;
    const known = this.#devices.peek(owner);
    const sent = known && sentOf(known.sent.get(txnId), transaction);
    if (sent !== undefined) return Promise.resolve(sent.eventId);
    const isNew = known !== undefined && !mayBeOlder(known, txnId);
    const found = isNew ? send() : this.#sendUnknown(owner, transaction, send);
    const eventId = found.then(
      (id) => {
        this.#ended(owner, run);
        this.#remember(owner, transaction, id);
        return id;
      },
      (error) => this.#afterFailure(owner, run, error),
    );
    const run: Run = { transaction, eventId, others };
    this.#running.set(owner, run);
    return eventId;
  }

  forget(): void {
    this.#devices.clear();
    this.#held = 0;
  }

  #ended(owner: string, run: Run): void {
    const first = this.#running.get(owner);
    if (first === run) {
      if (run.others === undefined) this.#running.delete(owner);
      else this.#running.set(owner, run.others);
      return;
    }
    let newer = first;
    while (newer !== undefined && newer.others !== run) newer = newer.others;
    if (newer !== undefined) newer.others = run.others;
  }

  async #sendUnknown(
    owner: string,
    transaction: EventTransaction,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const known = await this.#devices.get(owner);
    const { txnId } = transaction;
    const sent = sentOf(known.sent.get(txnId), transaction);
    if (sent !== undefined) return sent.eventId;
    return (mayBeOlder(known, txnId) ? await this.#find(owner, transaction) : undefined) ?? send();
  }

  /** @throws the failure, unless the transaction has been carried out all the same */
  async #afterFailure(owner: string, run: Run, error: unknown): Promise<EventId> {
    try {
      const found =
        error instanceof LogWriteFailed ? await this.#find(owner, run.transaction) : undefined;
      if (found === undefined) throw error;
      return found;
    } finally {
      this.#ended(owner, run);
    }
  }

  async #find(owner: string, transaction: EventTransaction): Promise<EventId | undefined> {
    // While the log has lost its session nobody knows yet what was written.
    if (!this.#log.isOpen) await this.#log.settled();
    const [user, device] = partsOf(owner);
    return eventOfTransaction(this.#db, user, device, transaction);
  }

  /** What another process has sent for a device that this one knows. */
  #follow({ sender, senderDevice, txnId, txnTarget, roomId, type, eventId }: EventRow): void {
    if (senderDevice === null || txnId === null) return;
    const target = (txnTarget ?? undefined) as EventId | undefined;
    const transaction = { roomId: roomId as RoomId, type, target, txnId };
    this.#remember(`${sender} ${senderDevice}`, transaction, eventId as EventId);
  }

  #remember(owner: string, transaction: EventTransaction, eventId: EventId): void {
    const known = this.#devices.peek(owner);
    if (known === undefined) return;
    const { sent } = known;
    const { txnId } = transaction;
    sent.set(txnId, { transaction, eventId, others: sent.get(txnId) });
    this.#held += 1;
    if (sent.size > this.#maxPerDevice) this.#dropOldest(known);
    // Devices come back with one query each.
    if (this.#held > this.#maxTransactions) this.forget();
  }

  #dropOldest(known: Known): void {
    const { sent } = known;
    const layersBefore = known.older?.layers ?? 0;
    for (const oldest of sent.keys()) {
      if (sent.size <= this.#maxPerDevice / 2) break;
      sent.delete(oldest);
      if (known.older?.add(oldest) === false) known.older = undefined;
    }
    const added = Math.max(0, (known.older?.layers ?? 0) - layersBefore);
    this.#held += added * LAYER_TRANSACTIONS;
  }

  async #load(owner: string): Promise<Known> {
    if (!this.#log.isOpen) await this.#log.settled();
    const [user, device] = partsOf(owner);
    const all = await deviceTransactions(this.#db, user, device, this.#maxPerDevice / 2);
    const sent = new Map<string, Sent>();
    for (const made of all ?? []) {
      const { eventId, txnId } = made;
      sent.set(txnId, { transaction: made, eventId, others: sent.get(txnId) });
    }
    this.#held += all?.length ?? 0;
    return { sent, older: all === undefined ? undefined : new SeenIds() };
  }
}

/** Whether the device can have used an id before that is not among the newest. */
const mayBeOlder = ({ older }: Known, txnId: string): boolean => older?.mayHave(txnId) ?? true;

const isSame = (a: EventTransaction, b: EventTransaction): boolean =>
  a.txnId === b.txnId && a.roomId === b.roomId && a.type === b.type && a.target === b.target;

const sentOf = (first: Sent | undefined, transaction: EventTransaction): Sent | undefined => {
  let sent = first;
  while (sent !== undefined && !isSame(sent.transaction, transaction)) sent = sent.others;
  return sent;
};

const runOf = (first: Run | undefined, transaction: EventTransaction): Run | undefined => {
  let run = first;
  while (run !== undefined && !isSame(run.transaction, transaction)) run = run.others;
  return run;
};

/** User ids have no space. */
const partsOf = (owner: string): [user: string, device: string] => {
  const at = owner.indexOf(' ');
  return [owner.slice(0, at), owner.slice(at + 1)];
};
