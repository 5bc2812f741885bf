/**
 * Transactions of other servers: every event is checked and either taken in at once or, where it
 * refers to what is not here, put into its room's queue; every EDU goes to whoever handles its kind.
 * One room's troubles are no other's, and one event's are no other's.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */

import { LRUCache } from 'lru-cache';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { RemoteReceiver } from '../../homeserver/rooms/receive.ts';
import { emptyRecord } from '../../spec/empty-record.ts';
import { limitExceeded } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { type EventId, isRoomId, type RoomId, type ServerName } from '../../spec/identifiers.ts';
import { checkPdus } from '../checked-events.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { Edu, EduDispatcher } from './edu-dispatcher.ts';
import type { InboundMetrics } from './inbound-metrics.ts';
import type { InboundQueue } from './inbound-queue.ts';
import type { OutsideDepartures } from './outside-departures.ts';

export interface TransactionReceiverDeps {
  readonly keyRing: KeyRing;
  readonly access: RoomAccess;
  readonly receiver: RemoteReceiver;
  readonly queue: InboundQueue;
  readonly edus: EduDispatcher;
  readonly outsideDepartures: OutsideDepartures;
  readonly metrics: InboundMetrics;
}

export interface InboundTransaction {
  readonly pdus: readonly JsonObject[];
  readonly edus: readonly Edu[];
}

/** By event id, as the other server is answered. */
export type PduResults = Record<string, { error?: string }>;

/** Transactions whose answer is remembered: a server repeats only its last one. */
const MAX_REMEMBERED = 5000;
/** Events of one server that may wait; it is asked to wait itself beyond that. */
const MAX_BACKLOG = 5000;
const BACKLOG_RETRY_MS = 10_000;

export class TransactionReceiver {
  readonly #deps: TransactionReceiverDeps;
  readonly #answers = new LRUCache<string, Promise<PduResults>>({ max: MAX_REMEMBERED });

  constructor(deps: TransactionReceiverDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves when everything kept is durable. A transaction that was received already gets the same
   * answer again. (Across a restart its events are known by their ids.)
   * @throws MatrixError M_LIMIT_EXCEEDED when too many of the server's events wait
   */
  receive(origin: ServerName, txnId: string, transaction: InboundTransaction): Promise<PduResults> {
    const key = `${origin} ${txnId}`;
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    if (this.#deps.queue.backlogOf(origin) > MAX_BACKLOG) {
      throw limitExceeded(BACKLOG_RETRY_MS, 'Too many of your events wait to be taken in');
    }
    const answer = this.#receive(origin, transaction);
    this.#answers.set(key, answer);
    answer.catch(() => {
      // Nothing was promised, so the other server sends it again.
      if (this.#answers.peek(key) === answer) this.#answers.delete(key);
    });
    return answer;
  }

  async #receive(origin: ServerName, { pdus, edus }: InboundTransaction): Promise<PduResults> {
    this.#deps.metrics.edus(edus.length);
    const byRoom = new Map<string, JsonObject[]>();
    for (const pdu of pdus) {
      const roomId = pdu['room_id'];
      if (typeof roomId !== 'string' || !isRoomId(roomId)) continue;
      const group = byRoom.get(roomId);
      if (group === undefined) byRoom.set(roomId, [pdu]);
      else group.push(pdu);
    }
    const rooms = [...byRoom].map(([roomId, group]) =>
      this.#receiveRoom(origin, roomId as RoomId, group),
    );
    const [results] = await Promise.all([
      Promise.all(rooms),
      this.#deps.edus.dispatch(origin, edus),
    ]);
    return Object.assign({}, ...results) as PduResults;
  }

  async #receiveRoom(
    origin: ServerName,
    roomId: RoomId,
    pdus: readonly JsonObject[],
  ): Promise<PduResults> {
    const { access, keyRing, outsideDepartures, metrics } = this.#deps;
    const room = await access.ours(roomId);
    if (room === undefined) {
      metrics.received('dropped', pdus.length);
      return outsideDepartures.receive(origin, roomId, pdus);
    }
    const results: PduResults = emptyRecord();
    const isAllowed = (await access.aclOf(room)).allows(origin);
    const events: MatrixEvent[] = [];
    for (const { event, eventId, error } of await checked(keyRing, room, pdus)) {
      if (event === undefined) {
        if (eventId !== undefined) results[eventId] = { error };
      } else if (!isAllowed) {
        results[event.eventId] = { error: 'Your server is not allowed in this room' };
      } else {
        events.push(event);
      }
    }
    metrics.received('dropped', pdus.length - events.length);
    for (const [eventId, result] of await this.#takeIn(origin, room, events)) {
      results[eventId] = result;
    }
    return results;
  }

  /** What stands on its own is taken in at once; from the first event that does not, all wait. */
  async #takeIn(
    origin: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
  ): Promise<Map<EventId, { error?: string }>> {
    const { receiver, queue, metrics } = this.#deps;
    const atOnce: MatrixEvent[] = [];
    const alongside = new Set<EventId>();
    if (!queue.isWaitingFrom(room.id, origin)) {
      for (const event of events) {
        if (!(await receiver.isSelfContained(room, event, alongside))) break;
        atOnce.push(event);
        alongside.add(event.eventId);
      }
    }
    const later = events.slice(atOnce.length);
    const results = new Map<EventId, { error?: string }>();
    if (atOnce.length > 0) {
      const receipts = await receiver.receive(origin, room, atOnce);
      // An answer is final: what says nothing of an event is tried again from the queue.
      const again = atOnce.filter(({ eventId }) => receipts.get(eventId)?.isPassing === true);
      later.unshift(...again);
      for (const { eventId } of atOnce) {
        const error = receipts.get(eventId)?.error;
        results.set(eventId, error === undefined ? {} : { error });
      }
    }
    metrics.received('kept', events.length - later.length);
    metrics.received('waiting', later.length);
    if (later.length > 0) {
      await queue.add(origin, room, later);
      for (const { eventId } of later) results.set(eventId, {});
    }
    return results;
  }
}

/** A failure to look at events must not hide which of them it was. */
const checked = (keyRing: KeyRing, room: LiveRoom, pdus: readonly JsonObject[]) =>
  checkPdus(keyRing, { id: room.id, rules: room.rules }, pdus);
