/**
 * The state of a room at events this server does not have, as another server tells it. Needed where
 * the gap before an event is too long to be closed.
 * https://spec.matrix.org/v1.19/server-server-api/#retrieving-event-auth-and-room-state
 */
import { type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { EventId, ServerName } from '../../spec/identifiers.ts';
import { roomEvents } from '../storage/event-section.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import { turns } from '../turns.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { Outliers } from './outliers.ts';
import { type RemoteEvents, RemoteFailure } from './remote-events.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { StateBudget } from './state-budget.ts';
import type { Removed, StateRef, StateSnapshot } from './state-snapshot.ts';
import { type StoredEvent, stateRefOf } from './stored-event.ts';
import { emptyWrite, snapshotRow } from './write-rows.ts';

/** Beyond this many unknown events the whole state is asked for at once. */
const maxSingleEvents = 50;
/** A state with more unknown events than this, and several for each member, is no state of ours. */
const maxUnknownEvents = 10_000;
const maxUnknownPerMember = 4;

export class RemoteStates {
  readonly #deps: {
    readonly log: Log;
    readonly ids: IdAllocator;
    readonly events: EventStore;
    readonly snapshots: SnapshotStore;
    readonly outliers: Outliers;
    readonly remote: RemoteEvents;
  };

  readonly #budget: StateBudget;

  constructor(deps: {
    log: Log;
    ids: IdAllocator;
    events: EventStore;
    snapshots: SnapshotStore;
    outliers: Outliers;
    remote: RemoteEvents;
    stateBudget?: StateBudget;
  }) {
    this.#deps = deps;
    this.#budget = deps.stateBudget ?? new StateBudget();
  }

  /**
   * The state after an event, stored as a snapshot. `sentBy` is charged with what that costs.
   * @throws {RemoteFailure} when the server does not tell it, or `sentBy` has had its share
   */
  async stateAfter(
    server: ServerName,
    room: LiveRoom,
    eventId: EventId,
    sentBy: ServerName,
  ): Promise<StateSnapshot> {
    const before = await this.#refsBefore(server, room, eventId, sentBy);
    const event = await this.#event(server, room, eventId);
    if (event.event.stateKey !== undefined && event.rejectedReason === undefined) {
      before.set(stateKeyOf(event.event.type, event.event.stateKey), stateRefOf(event));
    }
    return this.#store(room, before);
  }

  /** The state before an event, stored as a snapshot. @throws {RemoteFailure} */
  async stateBefore(server: ServerName, room: LiveRoom, eventId: EventId): Promise<StateSnapshot> {
    return this.#store(room, await this.#refsBefore(server, room, eventId, server));
  }

  async #refsBefore(
    server: ServerName,
    room: LiveRoom,
    eventId: EventId,
    sentBy: ServerName,
  ): Promise<Map<StateKey, StateRef>> {
    const { events, remote } = this.#deps;
    if (!this.#budget.allows(sentBy)) {
      throw new RemoteFailure(`${sentBy} has had its share of work`);
    }
    const { stateIds, authChainIds } = await remote.stateIds(server, room, eventId);
    this.#budget.spend(sentBy, stateIds.length + authChainIds.length);
    const giveWay = turns();
    // Most of it is in the room's present state, which is in memory.
    const present = new Map<EventId, readonly [StateKey, StateRef]>();
    for (const [key, ref] of room.state.entries()) present.set(ref.eventId, [key, ref]);
    await giveWay();
    const others = new Set<EventId>();
    for (const id of stateIds) if (!present.has(id)) others.add(id);
    for (const id of authChainIds) if (!present.has(id)) others.add(id);
    const members = room.joinedCount + room.invitedCount;
    const maxUnknown = maxUnknownEvents + maxUnknownPerMember * members;
    if (others.size > 2 * maxUnknown) {
      throw new RemoteFailure(`${server} tells a state with ${others.size} other events`);
    }
    const known = await events.manyInRoom(room.nid, others);
    const unknown = [...others].filter((id) => !known.has(id));
    if (unknown.length > maxUnknown) {
      throw new RemoteFailure(`${server} tells a state with ${unknown.length} unknown events`);
    }
    await this.#fetch(server, room, eventId, unknown);
    const refs = new Map<StateKey, StateRef>();
    const lookedUp: EventId[] = [];
    for (const id of stateIds) {
      const entry = present.get(id);
      if (entry === undefined) lookedUp.push(id);
      else refs.set(entry[0], entry[1]);
    }
    await giveWay();
    for (const stored of (await events.manyInRoom(room.nid, lookedUp)).values()) {
      const { event } = stored;
      const usable = stored.rejectedReason === undefined && event.stateKey !== undefined;
      if (usable) refs.set(stateKeyOf(event.type, event.stateKey as string), stateRefOf(stored));
    }
    if (!refs.has(stateKeyOf('m.room.create', ''))) {
      throw new RemoteFailure(`${server} told a state without the create event`);
    }
    return refs;
  }

  /** No more than what was announced and is not here, whatever else comes along. */
  async #fetch(
    server: ServerName,
    room: LiveRoom,
    eventId: EventId,
    unknown: readonly EventId[],
  ): Promise<void> {
    const { outliers, remote } = this.#deps;
    if (unknown.length > maxSingleEvents) {
      const wanted = new Set(unknown);
      const { state, authChain } = await remote.state(server, room, eventId);
      const announced = [...authChain, ...state].filter((event) => wanted.has(event.eventId));
      await outliers.store(room, announced);
    } else if (unknown.length > 0) {
      await outliers.store(room, await remote.events(server, room, unknown));
    }
  }

  async #event(server: ServerName, room: LiveRoom, eventId: EventId): Promise<StoredEvent> {
    const { events, outliers, remote } = this.#deps;
    const known = await events.inRoom(room.nid, eventId);
    if (known !== undefined) return known;
    const fetched = await remote.events(server, room, [eventId]);
    const auth = fetched.flatMap(({ authEventIds }) => authEventIds);
    const authHere = await events.manyInRoom(room.nid, auth);
    // The auth chain of the state before it has them as a rule.
    const chain = auth.every((id) => authHere.has(id))
      ? []
      : await remote.eventAuth(server, room, eventId);
    const stored = (await outliers.store(room, [...chain, ...fetched])).get(eventId);
    if (stored === undefined) throw new RemoteFailure(`${server} does not give ${eventId}`);
    return stored;
  }

  /** As changes to the room's current state, which is near it. */
  async #store(room: LiveRoom, refs: ReadonlyMap<StateKey, StateRef>): Promise<StateSnapshot> {
    const base = room.state;
    const changes = new Map<StateKey, StateRef | Removed>();
    const giveWay = turns();
    for (const [key, ref] of refs) {
      if (base.get(key)?.nid !== ref.nid) changes.set(key, ref);
      const turn = giveWay();
      if (turn !== undefined) await turn;
    }
    for (const [key, { nid }] of base.entries()) {
      if (!refs.has(key)) changes.set(key, { removedNid: nid });
    }
    if (changes.size === 0) return base;
    await this.#deps.ids.reserve(1);
    const snapshot = base.with(this.#deps.ids.next(), changes);
    await this.#deps.log.append({
      parts: [
        rowsOf(roomEvents, [
          { ...emptyWrite(room.nid), snapshots: [snapshotRow(room.nid, snapshot)] },
        ]),
      ],
      ground: room.ground,
      stillValid: () => !room.dead,
    });
    this.#deps.snapshots.remember(snapshot);
    return snapshot;
  }
}
