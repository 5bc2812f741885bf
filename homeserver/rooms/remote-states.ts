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
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { Outliers } from './outliers.ts';
import type { RemoteEvents } from './remote-events.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { Removed, StateRef, StateSnapshot } from './state-snapshot.ts';
import { membershipOf, type StoredEvent } from './stored-event.ts';
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

  constructor(deps: {
    log: Log;
    ids: IdAllocator;
    events: EventStore;
    snapshots: SnapshotStore;
    outliers: Outliers;
    remote: RemoteEvents;
  }) {
    this.#deps = deps;
  }

  /** The state after an event, stored as a snapshot. Rejects when the server does not tell it. */
  async stateAfter(server: ServerName, room: LiveRoom, eventId: EventId): Promise<StateSnapshot> {
    const before = await this.#refsBefore(server, room, eventId);
    const event = await this.#event(server, room, eventId);
    if (event.event.stateKey !== undefined && event.rejectedReason === undefined) {
      before.set(stateKeyOf(event.event.type, event.event.stateKey), refOf(event));
    }
    return this.#store(room, before);
  }

  /** The state before an event, stored as a snapshot. */
  async stateBefore(server: ServerName, room: LiveRoom, eventId: EventId): Promise<StateSnapshot> {
    return this.#store(room, await this.#refsBefore(server, room, eventId));
  }

  async #refsBefore(
    server: ServerName,
    room: LiveRoom,
    eventId: EventId,
  ): Promise<Map<StateKey, StateRef>> {
    const { events, outliers, remote } = this.#deps;
    const { stateIds, authChainIds } = await remote.stateIds(server, room, eventId);
    const wanted = [...new Set([...stateIds, ...authChainIds])];
    const known = await events.manyInRoom(room.nid, wanted);
    const unknown = wanted.filter((id) => !known.has(id));
    const members = room.joinedCount + room.invitedCount;
    if (unknown.length > maxUnknownEvents + maxUnknownPerMember * members) {
      throw new Error(`${server} tells a state with ${unknown.length} unknown events`);
    }
    if (unknown.length > maxSingleEvents) {
      const { state, authChain } = await remote.state(server, room, eventId);
      await outliers.store(room, [...authChain, ...state]);
    } else if (unknown.length > 0) {
      await outliers.store(room, await remote.events(server, room, unknown));
    }
    const refs = new Map<StateKey, StateRef>();
    for (const stored of (await events.manyInRoom(room.nid, stateIds)).values()) {
      const { event } = stored;
      const usable = stored.rejectedReason === undefined && event.stateKey !== undefined;
      if (usable) refs.set(stateKeyOf(event.type, event.stateKey as string), refOf(stored));
    }
    if (!refs.has(stateKeyOf('m.room.create', ''))) {
      throw new Error(`${server} told a state without the create event`);
    }
    return refs;
  }

  async #event(server: ServerName, room: LiveRoom, eventId: EventId): Promise<StoredEvent> {
    const known = await this.#deps.events.inRoom(room.nid, eventId);
    if (known !== undefined) return known;
    const fetched = await this.#deps.remote.events(server, room, [eventId]);
    const chain = await this.#deps.remote.eventAuth(server, room, eventId);
    const stored = (await this.#deps.outliers.store(room, [...chain, ...fetched])).get(eventId);
    if (stored === undefined) throw new Error(`${server} does not give ${eventId}`);
    return stored;
  }

  /** As changes to the room's current state, which is near it. */
  async #store(room: LiveRoom, refs: ReadonlyMap<StateKey, StateRef>): Promise<StateSnapshot> {
    const base = room.state;
    const changes = new Map<StateKey, StateRef | Removed>();
    for (const [key, ref] of refs) if (base.get(key)?.nid !== ref.nid) changes.set(key, ref);
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
      stillValid: () => !room.dead,
    });
    this.#deps.snapshots.remember(snapshot);
    return snapshot;
  }
}

const refOf = (stored: StoredEvent): StateRef => ({
  nid: stored.nid,
  eventId: stored.event.eventId,
  membership: membershipOf(stored.event),
});
