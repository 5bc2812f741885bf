/**
 * Filling gaps in a room's timeline with history that another server has told. The events take their
 * places before the gap's live event, each with the state before it, so that visibility can be
 * judged; neither the present state nor the forward extremities change.
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import type { Logger } from 'pino';
import { exactJson } from '../../spec/canonical-json.ts';
import { type MatrixEvent, stateKeyOf } from '../../spec/event.ts';
import { type EventId, type ServerName, serverNameOf } from '../../spec/identifiers.ts';
import type { Db } from '../storage/database.ts';
import { roomEvents } from '../storage/event-section.ts';
import type { TimelinePlace } from '../storage/events.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import type { AuthChains } from './auth-chains.ts';
import { authEventsIn, rejectionBy } from './auth-selection.ts';
import type { EventStore } from './event-store.ts';
import type { EventSurroundings } from './event-surroundings.ts';
import { placeApart, placeBefore } from './gap-places.ts';
import type { HistoryGap } from './history.ts';
import type { LiveRoom } from './live-room.ts';
import { describe, type Outliers } from './outliers.ts';
import { redactionEffects } from './redactions.ts';
import { inReferenceOrder } from './reference-order.ts';
import type { RemoteStates } from './remote-states.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateMerger } from './state-merger.ts';
import { StateSnapshot } from './state-snapshot.ts';
import { isPlaced, membershipOf, type StoredEvent } from './stored-event.ts';
import { emptyWrite, rowOf, snapshotRow } from './write-rows.ts';

export interface HistoryFillDeps {
  readonly db: Db;
  readonly log: Log;
  readonly ids: IdAllocator;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly snapshots: SnapshotStore;
  readonly chains: AuthChains;
  readonly merger: StateMerger;
  readonly outliers: Outliers;
  readonly states: RemoteStates;
  readonly surroundings: EventSurroundings;
  readonly logger: Logger;
}

/** Events of one answer whose state is asked for: where history is straight, only the oldest. */
const maxStatesAsked = 10;

interface Batch {
  readonly room: LiveRoom;
  /** Prev events first. */
  readonly ordered: readonly MatrixEvent[];
  /** The states before events whose prev events are neither here nor in the batch. */
  readonly statesBefore: ReadonlyMap<EventId, StateSnapshot>;
}

/** What is written for a batch. */
interface Filling {
  readonly stored: StoredEvent[];
  readonly snapshots: StateSnapshot[];
  readonly missing: { eventId: EventId; referencedByNid: number }[];
  /** By nid: those that were here already, as outliers. */
  readonly promoted: Set<number>;
}

export class HistoryFill {
  readonly #deps: HistoryFillDeps;

  constructor(deps: HistoryFillDeps) {
    this.#deps = deps;
  }

  /** The prev events of the event after a gap that are not here. */
  async missingBefore(gap: Pick<HistoryGap, 'eventId'>): Promise<EventId[]> {
    const after = await this.#deps.events.byId(gap.eventId);
    const prevs = after?.event.prevEventIds ?? [];
    if (after === undefined) return [];
    const known = await this.#deps.events.manyInRoom(after.roomNid, prevs);
    return prevs.filter((id) => !isPlaced(known.get(id)));
  }

  /**
   * Places those of the events that lead up to the gap without a break. They have passed the first
   * three checks on receipt; `server`, which told them, is asked for the states they need.
   * @returns how many were placed
   */
  async place(
    server: ServerName,
    room: LiveRoom,
    gap: HistoryGap,
    events: readonly MatrixEvent[],
  ): Promise<number> {
    const connected = await this.#connected(room, gap, events);
    if (connected.length === 0) return 0;
    return this.#place(server, room, connected, async (ordered) => {
      // Meanwhile one of them may have taken its place apart, and those before it belong there.
      const leading = new Set(await this.#connected(room, gap, ordered));
      const events = ordered.filter((event) => leading.has(event));
      return {
        events,
        first: await placeBefore(this.#deps.db, room.nid, gap.place, events.length),
      };
    });
  }

  /**
   * Places an event in the gap that nothing yet leads to from the event after it. No reference vouches
   * for such an event: of its own people `server` is believed only what they could send now.
   * @returns whether it is placed, by this or by another way
   */
  async placeApart(
    server: ServerName,
    room: LiveRoom,
    gap: HistoryGap,
    event: MatrixEvent,
  ): Promise<boolean> {
    const { db, events } = this.#deps;
    if (serverNameOf(event.sender) === server && !(await this.#mayBeSentNow(room, event))) {
      return false;
    }
    await this.#place(server, room, [event], async (wanted) => {
      if ((await this.missingBefore(gap)).length === 0) return undefined;
      const first = await placeApart(db, room.nid, gap.place);
      return first && { events: wanted, first };
    });
    return isPlaced(await events.inRoom(room.nid, event.eventId));
  }

  async #mayBeSentNow(room: LiveRoom, event: MatrixEvent): Promise<boolean> {
    if (event.type === 'm.room.create') return true;
    const auth = await authEventsIn(this.#deps.events, room, room.state, event);
    return rejectionBy(event, room.rules, auth) === undefined;
  }

  /** @param inTurn which of the events are still to be placed, and where the first goes */
  async #place(
    server: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
    inTurn: (
      ordered: readonly MatrixEvent[],
    ) => Promise<{ events: readonly MatrixEvent[]; first: TimelinePlace } | undefined>,
  ): Promise<number> {
    await this.#deps.surroundings.fetchAuthEvents(server, room, events);
    const batch = await this.#withStates(server, room, events);
    if (batch.ordered.length === 0) return 0;
    return room.exclusive(async () => {
      if (room.dead) return 0;
      const filling: Filling = { stored: [], snapshots: [], missing: [], promoted: new Set() };
      try {
        const placing = await inTurn(batch.ordered);
        if (placing === undefined || placing.events.length === 0) return 0;
        await this.#fill({ ...batch, ordered: placing.events }, filling);
        await this.#write(room, placing.first, filling);
        return filling.stored.length;
      } catch (error) {
        // Memory was ahead of what is written.
        for (const { nid } of filling.stored) this.#deps.events.forget(nid);
        this.#deps.chains.drop(room.nid);
        this.#deps.registry.drop(room);
        throw error;
      }
    });
  }

  /** Those from which the gap is reached through prev events, prev events first. */
  async #connected(
    room: LiveRoom,
    gap: Pick<HistoryGap, 'eventId'>,
    events: readonly MatrixEvent[],
  ): Promise<MatrixEvent[]> {
    const known = await this.#deps.events.manyInRoom(
      room.nid,
      events.map(({ eventId }) => eventId),
    );
    const fresh = new Map(
      events
        .filter(({ eventId }) => !isPlaced(known.get(eventId)))
        .map((event) => [event.eventId, event]),
    );
    const reached = new Map<EventId, MatrixEvent>();
    const queue = await this.missingBefore(gap);
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      const event = fresh.get(id);
      if (event === undefined || reached.has(id)) continue;
      reached.set(id, event);
      queue.push(...event.prevEventIds);
    }
    return inReferenceOrder([...reached.values()], ({ prevEventIds }) => prevEventIds);
  }

  /** Leaves out events whose state nobody tells, and those that follow only them. */
  async #withStates(
    server: ServerName,
    room: LiveRoom,
    events: readonly MatrixEvent[],
  ): Promise<Batch> {
    const { states, logger } = this.#deps;
    const prevIds = new Set(events.flatMap(({ prevEventIds }) => prevEventIds));
    const known = await this.#deps.events.manyInRoom(room.nid, prevIds);
    const usable = new Set<EventId>();
    const ordered: MatrixEvent[] = [];
    const statesBefore = new Map<EventId, StateSnapshot>();
    for (const event of events) {
      const isComplete = event.prevEventIds.every(
        (id) => usable.has(id) || isPlaced(known.get(id)),
      );
      if (event.type === 'm.room.create' && event.prevEventIds.length === 0) {
        statesBefore.set(event.eventId, StateSnapshot.empty);
      } else if (!isComplete || event.prevEventIds.length === 0) {
        if (statesBefore.size >= maxStatesAsked) continue;
        try {
          statesBefore.set(event.eventId, await states.stateBefore(server, room, event.eventId));
        } catch (error) {
          logger.info({ err: error, server, room: room.id }, 'state of history not told');
          continue;
        }
      }
      usable.add(event.eventId);
      ordered.push(event);
    }
    return { room, ordered, statesBefore };
  }

  async #fill({ room, ordered, statesBefore }: Batch, filling: Filling): Promise<void> {
    const { ids, events } = this.#deps;
    await ids.reserve(3 * ordered.length + 16);
    const states = new Map<EventId, StateSnapshot>();
    for (const event of ordered) {
      const before = await events.inRoom(room.nid, event.eventId);
      // Another way has brought it here meanwhile.
      if (isPlaced(before)) continue;
      const prevs = await events.manyInRoom(room.nid, event.prevEventIds);
      const stateBefore =
        statesBefore.get(event.eventId) ??
        (await this.#stateAfterAll(room, prevs, states, filling));
      const stored = await this.#stored(room, event, before, stateBefore, states, filling);
      for (const id of event.prevEventIds) {
        if (!isPlaced(prevs.get(id)))
          filling.missing.push({ eventId: id, referencedByNid: stored.nid });
      }
      // Findable by the events that follow it.
      events.remember(stored);
      filling.stored.push(stored);
    }
  }

  async #stateAfterAll(
    room: LiveRoom,
    prevs: ReadonlyMap<EventId, StoredEvent>,
    states: ReadonlyMap<EventId, StateSnapshot>,
    filling: Filling,
  ): Promise<StateSnapshot> {
    const { snapshots, merger } = this.#deps;
    const after: StateSnapshot[] = [];
    for (const prev of prevs.values()) {
      if (prev.snapshotAfter === undefined) continue;
      const known = states.get(prev.event.eventId);
      after.push(known ?? (await snapshots.load(room.nid, prev.snapshotAfter)));
    }
    const merged = await merger.merge(room, after, after[0] ?? room.state);
    if (merged.isNew) filling.snapshots.push(merged.state);
    return merged.state;
  }

  /** Checks 4 and 5, and the state after the event. */
  async #stored(
    room: LiveRoom,
    event: MatrixEvent,
    before: StoredEvent | undefined,
    stateBefore: StateSnapshot,
    states: Map<EventId, StateSnapshot>,
    filling: Filling,
  ): Promise<StoredEvent> {
    const { ids, snapshots } = this.#deps;
    const rejectedReason =
      before?.rejectedReason ?? (await this.#rejection(room, event, stateBefore));
    const nid = before?.nid ?? ids.next();
    if (before !== undefined) filling.promoted.add(nid);
    let stateAfter = stateBefore;
    let replacesNid: number | undefined;
    if (event.stateKey !== undefined && rejectedReason === undefined) {
      const key = stateKeyOf(event.type, event.stateKey);
      const ref = { nid, eventId: event.eventId, membership: membershipOf(event) };
      replacesNid = stateBefore.get(key)?.nid;
      stateAfter = stateBefore.with(ids.next(), new Map([[key, ref]]));
      snapshots.remember(stateAfter);
      filling.snapshots.push(stateAfter);
    }
    states.set(event.eventId, stateAfter);
    return {
      nid,
      roomNid: room.nid,
      event,
      streamPos: undefined,
      backfillPos: 0,
      snapshotBefore: stateBefore.nid,
      snapshotAfter: stateAfter.nid,
      currentSnapshot: undefined,
      replacesNid,
      rejectedReason,
      softFailed: false,
      redactedByNid: before?.redactedByNid,
      senderDevice: undefined,
      txnId: undefined,
    };
  }

  async #rejection(
    room: LiveRoom,
    event: MatrixEvent,
    stateBefore: StateSnapshot,
  ): Promise<string | undefined> {
    const { events, outliers } = this.#deps;
    const auth = await authEventsIn(events, room, stateBefore, event);
    const known = await events.manyInRoom(room.nid, event.authEventIds);
    if (event.authEventIds.some((id) => !known.has(id))) return 'its auth events are not known';
    const byAuthEvents = outliers.rejection(event, room.rules, known, auth.createEvent);
    if (byAuthEvents !== undefined) return byAuthEvents;
    const byState = rejectionBy(event, room.rules, auth);
    return byState && describe(byState);
  }

  async #write(room: LiveRoom, first: TimelinePlace, filling: Filling): Promise<void> {
    const { log, chains } = this.#deps;
    const placed = filling.stored.map((stored, index) => ({
      ...stored,
      streamPos: first.streamPos,
      backfillPos: first.backfillPos + index,
    }));
    const write = emptyWrite(room.nid);
    const redacted = new Map<number, StoredEvent>();
    const byNid = new Map(placed.map((stored) => [stored.nid, stored]));
    for (const stored of placed) {
      const json = exactJson(stored.event.pdu);
      const row = { ...rowOf(stored, json), promoted: filling.promoted.has(stored.nid) };
      write.events.push({ ...row, place: 'filled' });
      if (stored.rejectedReason !== undefined) continue;
      const { eventId } = stored.event;
      if (room.unappliedRedactions.has(eventId)) write.awaitedTargets.push(eventId);
      const effects = await redactionEffects(this.#deps, room, stored);
      write.unappliedRedactions.push(...effects.unapplied);
      for (const target of effects.redacted) {
        // Of events of this batch memory does not know the place yet.
        const { streamPos, backfillPos } = byNid.get(target.nid) ?? target;
        redacted.set(target.nid, { ...target, streamPos, backfillPos });
      }
      if (!effects.withheld) continue;
      write.events.splice(-1, 1, { ...row, place: 'filled', softFailed: true });
    }
    for (const { nid, redactedByNid, event } of redacted.values()) {
      write.redactions.push({
        eventNid: nid,
        redactedByNid: redactedByNid as number,
        json: exactJson(event.pdu),
      });
    }
    write.snapshots.push(...filling.snapshots.map((snapshot) => snapshotRow(room.nid, snapshot)));
    const stateEvents = placed.filter(({ event }) => event.stateKey !== undefined);
    const { places, links } = await chains.place(room.nid, stateEvents);
    write.chainPlaces.push(...places);
    write.chainLinks.push(...links);
    this.#moveGaps(room, placed, filling, write);
    await log.append({
      parts: [rowsOf(roomEvents, [write])],
      ground: room.ground,
      stillValid: () => !room.dead,
      committed: () => {
        for (const eventId of write.awaitedTargets) room.unappliedRedactions.delete(eventId);
      },
    });
  }

  /** What was missing and is here now is missing no more; what these events lack in turn is. */
  #moveGaps(
    room: LiveRoom,
    placed: readonly StoredEvent[],
    { missing }: Filling,
    write: ReturnType<typeof emptyWrite>,
  ): void {
    for (const { event } of placed) {
      if (room.missingPrevEvents.delete(event.eventId)) write.foundPrevEvents.push(event.eventId);
    }
    const found = new Set(write.foundPrevEvents);
    const accepted = new Set(
      placed.filter(({ rejectedReason }) => rejectedReason === undefined).map(({ nid }) => nid),
    );
    for (const gap of missing) {
      if (found.has(gap.eventId)) continue;
      room.lacks(gap.eventId, accepted.has(gap.referencedByNid));
      write.missingPrevEvents.push(gap);
    }
  }
}
