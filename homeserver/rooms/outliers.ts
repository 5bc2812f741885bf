/**
 * Outliers: events that are known because auth chains or states name them, without a place in the
 * timeline. Each is checked against its own auth events before it is kept.
 * https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
 */

import { type AuthEvent, checkAuthEvents } from '../../spec/auth/auth-events.ts';
import { EventRejected } from '../../spec/auth/event-rejected.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { createEventIdOf, type EventId, type RoomId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import { KeyedQueue } from '../keyed-queue.ts';
import { roomEvents } from '../storage/event-section.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { freshGround, type Log, rowsOf } from '../streams/log.ts';
import { turns } from '../turns.ts';
import type { AuthChains } from './auth-chains.ts';
import { rejectionBy, stateIn } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import { inAuthOrder } from './reference-order.ts';
import type { StoredEvent } from './stored-event.ts';
import { emptyWrite, outlierRow } from './write-rows.ts';

/** Auth events of an event that nobody could be asked for. */
export class AuthEventsMissing extends Error {
  readonly eventIds: readonly EventId[];

  constructor(eventIds: readonly EventId[]) {
    super(`Auth events are missing: ${eventIds.slice(0, 3).join(', ')}`);
    this.name = 'AuthEventsMissing';
    this.eventIds = eventIds;
  }
}

export interface OutliersDeps {
  readonly log: Log;
  readonly ids: IdAllocator;
  readonly events: EventStore;
  readonly chains: AuthChains;
}

/** So many events take some ten milliseconds to write. */
const maxPerWrite = 250;

type Room = {
  readonly nid: number;
  readonly id: RoomId;
  readonly rules: RoomVersionRules;
};

export class Outliers {
  readonly #deps: OutliersDeps;
  /** One store of a room at a time: two that bring the same event must not both make its row. */
  readonly #running = new KeyedQueue<number>();

  constructor(deps: OutliersDeps) {
    this.#deps = deps;
  }

  /**
   * Keeps those of the events that are not stored yet. An event whose auth events are neither stored
   * nor among them is left out.
   * @returns what is stored of them now, by id
   */
  store(room: Room, events: readonly MatrixEvent[]): Promise<Map<EventId, StoredEvent>> {
    return this.exclusive(room, () => this.#store(room, events));
  }

  /** For `make` and `write` with something between them. */
  exclusive<T>(room: Room, work: () => Promise<T>): Promise<T> {
    return this.#running.run(room.nid, work);
  }

  async #store(room: Room, events: readonly MatrixEvent[]): Promise<Map<EventId, StoredEvent>> {
    const known = await this.#deps.events.manyInRoom(
      room.nid,
      events.map(({ eventId }) => eventId),
    );
    const fresh = events.filter(({ eventId }) => !known.has(eventId));
    if (fresh.length === 0) return known;
    const made = await this.make(room, fresh);
    await this.write(room, made);
    for (const stored of made) {
      const { eventId } = stored.event;
      known.set(eventId, this.#deps.events.cachedInRoom(room.nid, eventId) ?? stored);
    }
    return known;
  }

  /**
   * Writes what `make` has made, in several parts: whatever others write at the time comes in
   * between. Where one part fails, those before it stay.
   */
  async write(room: Room, made: readonly StoredEvent[]): Promise<void> {
    for (let at = 0; at < made.length; at += maxPerWrite) {
      await this.#writePart(room, made.slice(at, at + maxPerWrite));
    }
  }

  async #writePart(room: Room, made: readonly StoredEvent[]): Promise<void> {
    const { events } = this.#deps;
    // The room's writer may have taken an event in since it was looked for.
    const fresh = made.filter(({ nid, event }) => {
      const known = events.cachedInRoom(room.nid, event.eventId);
      return known === undefined || known.nid === nid;
    });
    for (const stored of fresh) events.remember(stored);
    try {
      const { places, links } = await this.#deps.chains.place(room.nid, fresh);
      const write = {
        ...emptyWrite(room.nid),
        events: fresh.map((stored) => outlierRow(stored, exactJson(stored.event.pdu))),
        chainPlaces: places,
        chainLinks: links,
      };
      await this.#deps.log.append({
        parts: [rowsOf(roomEvents, [write])],
        ground: freshGround(room.id),
      });
    } catch (error) {
      for (const { nid } of fresh) events.forget(nid);
      this.#deps.chains.drop(room.nid);
      throw error;
    }
  }

  /**
   * Checks events that are not stored yet and gives them ids, without writing. Auth events come
   * before what they authorise.
   */
  async make(room: Room, events: readonly MatrixEvent[]): Promise<StoredEvent[]> {
    const ordered = inAuthOrder(events);
    const referred = new Set(ordered.flatMap(({ authEventIds }) => authEventIds));
    for (const { eventId } of ordered) referred.delete(eventId);
    const known = await this.#deps.events.manyInRoom(room.nid, referred);
    const createEvent = await this.#createEvent(room, ordered);
    const made: StoredEvent[] = [];
    const giveWay = turns();
    for (const event of ordered) {
      await giveWay();
      await this.#deps.ids.reserve(1);
      const missing = event.authEventIds.some((id) => !known.has(id));
      if (missing || known.has(event.eventId)) continue;
      const rejectedReason = this.rejection(event, room.rules, known, createEvent);
      const stored = outlierOf(this.#deps.ids.next(), room.nid, event, rejectedReason);
      known.set(event.eventId, stored);
      made.push(stored);
    }
    return made;
  }

  /**
   * Check 4: the event against its own auth events, which `known` has.
   * @returns why it is rejected, if it is
   */
  rejection(
    event: MatrixEvent,
    rules: RoomVersionRules,
    known: ReadonlyMap<EventId, StoredEvent>,
    createEvent: MatrixEvent | undefined,
  ): string | undefined {
    const authEvents: AuthEvent[] = [];
    const missing: EventId[] = [];
    for (const id of event.authEventIds) {
      const stored = known.get(id);
      if (stored === undefined) missing.push(id);
      else authEvents.push({ event: stored.event, rejected: stored.rejectedReason !== undefined });
    }
    if (missing.length > 0) throw new AuthEventsMissing(missing);
    try {
      checkAuthEvents(event, authEvents, rules);
    } catch (error) {
      if (error instanceof EventRejected) return describe(error);
      throw error;
    }
    const listed = authEvents.map(({ event: auth }) => auth);
    const create = stateIn(listed)('m.room.create', '') ?? createEvent;
    const rejection = rejectionBy(event, rules, { createEvent: create, listed });
    return rejection && describe(rejection);
  }

  /** In versions whose room id is the create event's, that event authorises without being listed. */
  async #createEvent(
    { nid, rules }: Room,
    events: readonly MatrixEvent[],
  ): Promise<MatrixEvent | undefined> {
    const [first] = events;
    if (!rules.roomIdIsCreateHash || first === undefined) return undefined;
    const id = createEventIdOf(first.roomId);
    const among = events.find(({ eventId }) => eventId === id);
    return among ?? (await this.#deps.events.inRoom(nid, id))?.event;
  }
}

export const describe = (rejection: EventRejected): string =>
  `rule ${rejection.rule}: ${rejection.message}`;

export const outlierOf = (
  nid: number,
  roomNid: number,
  event: MatrixEvent,
  rejectedReason: string | undefined,
): StoredEvent => ({
  nid,
  roomNid,
  event,
  streamPos: undefined,
  backfillPos: 0,
  snapshotBefore: undefined,
  snapshotAfter: undefined,
  currentSnapshot: undefined,
  replacesNid: undefined,
  rejectedReason,
  softFailed: false,
  redactedByNid: undefined,
  senderDevice: undefined,
  txnId: undefined,
});
