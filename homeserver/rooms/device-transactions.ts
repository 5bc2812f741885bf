/**
 * The transaction ids that clients have used, so that a repeated request is answered with the event
 * it made the first time. https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers
 *
 * The events themselves record their transaction; a device's newest ones are read when it first
 * sends and kept while it is active, so that sending reads nothing.
 */
import { LRUCache } from 'lru-cache';
import type { DeviceId, EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { deviceTransactions } from '../storage/events.ts';

const keptPerDevice = 1000;

/** What tells requests apart that share a transaction id: where they go, and what they send. */
export const transactionScope = (roomId: RoomId, type: string, txnId: string): string =>
  JSON.stringify([roomId, type, txnId]);

/** By scope. */
type Answers = LRUCache<string, Promise<EventId>>;

export class DeviceTransactions {
  readonly #db: Db;
  readonly #devices: LRUCache<string, Promise<Answers>>;

  constructor(db: Db, maxDevices = 20_000) {
    this.#db = db;
    this.#devices = new LRUCache({ max: maxDevices });
  }

  /**
   * Runs `send` unless the device has used this transaction before (see `transactionScope`); two requests at the same time
   * share one run. A failed run is forgotten, and what was written is read again before the next.
   */
  async once(
    user: UserId,
    device: DeviceId,
    scope: string,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const answers = await this.#answersOf(user, device);
    const known = answers.get(scope);
    if (known !== undefined) return known;
    const answer = send();
    answers.set(scope, answer);
    answer.catch(() => {
      answers.delete(scope);
      // The write may have been made although its answer was lost.
      this.#devices.delete(`${user} ${device}`);
    });
    return answer;
  }

  forget(): void {
    this.#devices.clear();
  }

  #answersOf(user: UserId, device: DeviceId): Promise<Answers> {
    const key = `${user} ${device}`;
    let answers = this.#devices.get(key);
    if (answers === undefined) {
      answers = this.#load(user, device);
      this.#devices.set(key, answers);
      answers.catch(() => this.#devices.delete(key));
    }
    return answers;
  }

  async #load(user: UserId, device: DeviceId): Promise<Answers> {
    const answers: Answers = new LRUCache({ max: keptPerDevice });
    for (const row of await deviceTransactions(this.#db, user, device, keptPerDevice)) {
      answers.set(
        transactionScope(row.room_id, row.type, row.txn_id),
        Promise.resolve(row.event_id),
      );
    }
    return answers;
  }
}
