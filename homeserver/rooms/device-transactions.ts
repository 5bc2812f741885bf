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

/** What a transaction is for: its id may be used again for another room or type of event. */
export interface TransactionScope {
  readonly roomId: RoomId;
  readonly type: string;
  readonly txnId: string;
}

/** An answer given, and those to the same transaction id in other scopes. */
interface Answer {
  readonly roomId: RoomId;
  readonly type: string;
  readonly eventId: Promise<EventId>;
  readonly others: Answer | undefined;
}

/** By transaction id. */
type Answers = BoundedCache<string, Answer>;

export class DeviceTransactions {
  readonly #db: Db;
  readonly #users: BoundedCache<UserId, Map<DeviceId, Answers>>;
  readonly #loading = new Map<string, Promise<Answers>>();

  constructor(db: Db, maxUsers = 10_000) {
    this.#db = db;
    this.#users = new BoundedCache(maxUsers);
  }

  /**
   * Runs `send` unless the device has used this transaction before; two requests at the same time
   * share one run. A failed run is forgotten, and what was written is read again before the next.
   */
  once(
    user: UserId,
    device: DeviceId,
    scope: TransactionScope,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const answers = this.#users.get(user)?.get(device);
    return answers === undefined
      ? this.#load(user, device).then((loaded) => this.#answer(user, device, loaded, scope, send))
      : this.#answer(user, device, answers, scope, send);
  }

  forget(): void {
    this.#users.clear();
    this.#loading.clear();
  }

  #answer(
    user: UserId,
    device: DeviceId,
    answers: Answers,
    { roomId, type, txnId }: TransactionScope,
    send: () => Promise<EventId>,
  ): Promise<EventId> {
    const others = answers.get(txnId);
    const known = find(others, roomId, type);
    if (known !== undefined) return known.eventId;
    const eventId = send();
    answers.set(txnId, { roomId, type, eventId, others });
    // The write may have been made although its answer was lost: what there is, is read again.
    eventId.catch(() => this.#users.get(user)?.delete(device));
    return eventId;
  }

  #load(user: UserId, device: DeviceId): Promise<Answers> {
    const key = `${user} ${device}`;
    const underWay = this.#loading.get(key);
    if (underWay !== undefined) return underWay;
    const loading = this.#read(user, device)
      .then((answers) => {
        // Unless all was to be forgotten meanwhile.
        if (this.#loading.get(key) === loading) this.#keep(user, device, answers);
        return answers;
      })
      .finally(() => {
        if (this.#loading.get(key) === loading) this.#loading.delete(key);
      });
    this.#loading.set(key, loading);
    return loading;
  }

  #keep(user: UserId, device: DeviceId, answers: Answers): void {
    const devices = this.#users.get(user);
    if (devices === undefined) this.#users.set(user, new Map([[device, answers]]));
    else devices.set(device, answers);
  }

  async #read(user: UserId, device: DeviceId): Promise<Answers> {
    const answers: Answers = new BoundedCache(keptPerDevice);
    for (const row of await deviceTransactions(this.#db, user, device, keptPerDevice)) {
      const { room_id: roomId, type, txn_id: txnId } = row;
      const eventId = Promise.resolve(row.event_id);
      answers.set(txnId, { roomId, type, eventId, others: answers.get(txnId) });
    }
    return answers;
  }
}

const find = (first: Answer | undefined, roomId: RoomId, type: string): Answer | undefined => {
  let answer = first;
  while (answer !== undefined && (answer.roomId !== roomId || answer.type !== type)) {
    answer = answer.others;
  }
  return answer;
};
