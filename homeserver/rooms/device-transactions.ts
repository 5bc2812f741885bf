/**
 * The transaction ids that clients have used, so that a repeated request is answered with the event
 * it made the first time. https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers
 *
 * The events themselves record their transaction; a device's newest ones are read when it first
 * sends and kept while it is active, so that sending reads nothing.
 */
import type { DeviceId, EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { BoundedCache } from '../bounded-cache.ts';
import type { Db } from '../storage/database.ts';
import { deviceTransactions } from '../storage/events.ts';

/** At least. Clients repeat a request at once, not hundreds of requests later. */
const keptPerDevice = 250;

/**
 * What tells requests apart that share a transaction id: where they go, and what they send. No part
 * of a path can hold a NUL.
 */
export const transactionScope = (roomId: RoomId, type: string, txnId: string): string =>
  // Joined in one step: pieces put together one by one are kept as a tree of them.
  [roomId, type, txnId].join('\u0000');

/** By scope. */
type Answers = BoundedCache<string, Promise<EventId>>;

export class DeviceTransactions {
  readonly #db: Db;
  readonly #devices: BoundedCache<string, Answers>;
  readonly #loading = new Map<string, Promise<Answers>>();

  constructor(db: Db, maxDevices = 10_000) {
    this.#db = db;
    this.#devices = new BoundedCache(maxDevices);
  }

  /**
   * Runs `send` unless the device has used this transaction before (see `transactionScope`); two
   * requests at the same time share one run. A failed run is forgotten, and what was written is read
   * again before the next.
   */
  once(
    user: UserId,
    device: DeviceId,
    scope: string,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const key = `${user} ${device}`;
    const answers = this.#devices.get(key);
    return answers === undefined
      ? this.#load(key, user, device).then((loaded) => this.#answer(key, loaded, scope, send))
      : this.#answer(key, answers, scope, send);
  }

  forget(): void {
    this.#devices.clear();
    this.#loading.clear();
  }

  #answer(
    key: string,
    answers: Answers,
    scope: string,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const known = answers.get(scope);
    if (known !== undefined) return known;
    const answer = send();
    answers.set(scope, answer);
    answer.catch(() => {
      answers.delete(scope);
      // The write may have been made although its answer was lost.
      this.#devices.delete(key);
    });
    return answer;
  }

  #load(key: string, user: UserId, device: DeviceId): Promise<Answers> {
    const underWay = this.#loading.get(key);
    if (underWay !== undefined) return underWay;
    const loading = this.#read(user, device)
      .then((answers) => {
        // Unless all was to be forgotten meanwhile.
        if (this.#loading.get(key) === loading) this.#devices.set(key, answers);
        return answers;
      })
      .finally(() => {
        if (this.#loading.get(key) === loading) this.#loading.delete(key);
      });
    this.#loading.set(key, loading);
    return loading;
  }

  async #read(user: UserId, device: DeviceId): Promise<Answers> {
    const answers: Answers = new BoundedCache(keptPerDevice);
    for (const row of await deviceTransactions(this.#db, user, device, keptPerDevice)) {
      answers.set(
        transactionScope(row.room_id, row.type, row.txn_id),
        Promise.resolve(row.event_id),
      );
    }
    return answers;
  }
}
