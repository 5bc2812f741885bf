/**
 * Transactions of other servers: every event is checked and either taken in at once or, where it
 * refers to what is not here, put into its room's queue; every EDU goes to whoever handles its kind.
 * One room's troubles are no other's, and one event's are no other's.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#transactions
 */

import { LRUCache } from 'lru-cache';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import { emptyRecord } from '../../spec/empty-record.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { isRoomId, type RoomId, type ServerName } from '../../spec/identifiers.ts';
import { checkPdus } from '../checked-events.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import type { Edu, EduDispatcher } from './edu-dispatcher.ts';
import type { InboundMetrics } from './inbound-metrics.ts';
import type { OutsideDepartures } from './outside-departures.ts';
import type { RoomIntake } from './room-intake.ts';

export interface TransactionReceiverDeps {
  readonly keyRing: KeyRing;
  readonly access: RoomAccess;
  readonly intake: RoomIntake;
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
    this.#deps.intake.checkBacklog(origin);
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
    const { access, keyRing, intake, outsideDepartures, metrics } = this.#deps;
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
    for (const [eventId, result] of await intake.take(origin, room, events)) {
      results[eventId] = result;
    }
    return results;
  }
}

/** A failure to look at events must not hide which of them it was. */
const checked = (keyRing: KeyRing, room: LiveRoom, pdus: readonly JsonObject[]) =>
  checkPdus(keyRing, { id: room.id, rules: room.rules }, pdus);
