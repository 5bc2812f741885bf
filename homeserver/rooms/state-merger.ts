/** The state of a room with several forward extremities, by state resolution over stored events. */
import { LRUCache } from 'lru-cache';
import type { StateKey, StateMap } from '../../spec/event.ts';
import type { EventId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { ResolutionSource } from '../../spec/state-resolution/event-source.ts';
import { resolveState } from '../../spec/state-resolution/resolve.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import type { AuthChains } from './auth-chains.ts';
import type { EventStore } from './event-store.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { type Removed, type StateRef, StateSnapshot } from './state-snapshot.ts';
import { membershipOf, type StoredEvent } from './stored-event.ts';

export interface Merged {
  readonly state: StateSnapshot;
  /** The snapshot is not in the database yet: the caller stores it with what refers to it. */
  readonly isNew: boolean;
}

const eventIds = (state: ReadonlyMap<StateKey, StateRef>): StateMap =>
  new Map([...state].map(([key, { eventId }]) => [key, eventId]));

export class StateMerger {
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;
  readonly #chains: AuthChains;
  readonly #ids: IdAllocator;
  /** Merges already made: while a room stays forked, most events meet the same states again. */
  readonly #made = new LRUCache<string, StateSnapshot>({ max: 1000 });
  /** Snapshots made here that no committed write has stored yet. */
  readonly #unstored = new Set<number>();

  constructor(deps: {
    events: EventStore;
    snapshots: SnapshotStore;
    chains: AuthChains;
    ids: IdAllocator;
  }) {
    this.#events = deps.events;
    this.#snapshots = deps.snapshots;
    this.#chains = deps.chains;
    this.#ids = deps.ids;
  }

  /**
   * Resolves these states of a room. The result is stored as changes to `base`, which should be
   * near it: the state before, or one of the states.
   * @throws MissingEventsError
   */
  async merge(
    room: { readonly nid: number; readonly rules: RoomVersionRules },
    states: readonly StateSnapshot[],
    base: StateSnapshot,
  ): Promise<Merged> {
    const distinct = [...new Map(states.map((state) => [state.nid, state])).values()];
    const [only] = distinct;
    if (only === undefined) return { state: StateSnapshot.empty, isNew: false };
    if (distinct.length === 1) return { state: only, isNew: false };
    const key = distinct
      .map(({ nid }) => nid)
      .sort((a, b) => a - b)
      .join();
    const made = this.#made.get(key);
    if (made !== undefined) return { state: made, isNew: this.#unstored.has(made.nid) };
    const merged = await this.#resolve(room, distinct, base);
    this.#made.set(key, merged.state);
    return merged;
  }

  /** Snapshots that are now in the database. */
  stored(nids: Iterable<number>): void {
    if (this.#unstored.size > 0) for (const nid of nids) this.#unstored.delete(nid);
  }

  clear(): void {
    this.#made.clear();
    this.#unstored.clear();
  }

  async #resolve(
    room: { readonly nid: number; readonly rules: RoomVersionRules },
    distinct: readonly StateSnapshot[],
    base: StateSnapshot,
  ): Promise<Merged> {
    const maps = distinct.map((state) => state.toMap());
    const resolved = await resolveState(
      room.rules,
      maps.map(eventIds),
      this.#source(room.nid, refsById(maps)),
    );
    return this.#snapshotOf(room.nid, resolved, maps, [base, ...distinct]);
  }

  async #snapshotOf(
    roomNid: number,
    resolved: StateMap,
    maps: readonly ReadonlyMap<StateKey, StateRef>[],
    candidates: readonly StateSnapshot[],
  ): Promise<Merged> {
    const refs = refsById(maps);
    const unknown = [...resolved.values()].filter((id) => !refs.has(id));
    for (const [id, stored] of await this.#events.manyInRoom(roomNid, unknown))
      refs.set(id, refOf(stored));
    let best: { base: StateSnapshot; changes: Map<StateKey, StateRef | Removed> } | undefined;
    for (const base of candidates) {
      const changes = changesFrom(base, resolved, refs);
      if (changes.size === 0) return { state: base, isNew: this.#unstored.has(base.nid) };
      if (best === undefined || changes.size < best.changes.size) best = { base, changes };
    }
    if (best === undefined) throw new Error('No states to resolve');
    await this.#ids.reserve(1);
    const state = best.base.with(this.#ids.next(), best.changes);
    this.#snapshots.remember(state);
    this.#unstored.add(state.nid);
    return { state, isNew: true };
  }

  #source(roomNid: number, refs: ReadonlyMap<EventId, StateRef>): ResolutionSource {
    const seen = new Map<EventId, StoredEvent>();
    const nidOf = (id: EventId): number | undefined => refs.get(id)?.nid ?? seen.get(id)?.nid;
    const idsOf = async (nids: readonly number[]): Promise<Set<EventId>> => {
      const stored = await this.#events.manyByNid(roomNid, nids);
      for (const event of stored.values()) seen.set(event.event.eventId, event);
      return new Set([...stored.values()].map(({ event }) => event.eventId));
    };
    const graphSet = async (
      nids: readonly (number | undefined)[],
      compute: (known: readonly number[]) => Promise<number[] | undefined>,
    ): Promise<Set<EventId> | undefined> => {
      const known = nids.filter((nid) => nid !== undefined);
      if (known.length < nids.length) return undefined;
      const found = await compute(known);
      return found === undefined ? undefined : idsOf(found);
    };
    return {
      fetchEvents: async (ids) => {
        const found = await this.#events.manyInRoom(roomNid, ids);
        for (const [id, stored] of found) seen.set(id, stored);
        return new Map([...found].map(([id, { event }]) => [id, event]));
      },
      isRejected: (id) => seen.get(id)?.rejectedReason !== undefined,
      authDifference: async (states) => {
        const graph = await this.#chains.graphOf(roomNid);
        return graphSet(
          states.flatMap((state) => [...state.values()].map(nidOf)),
          async () => {
            const reaches = states.map((state) =>
              graph.authChainReach([...state.values()].map((id) => nidOf(id) as number)),
            );
            const complete = reaches.filter((reach) => reach !== undefined);
            return complete.length < reaches.length ? undefined : graph.difference(complete);
          },
        );
      },
      conflictedSubgraph: async (conflicted) => {
        const graph = await this.#chains.graphOf(roomNid);
        return graphSet([...conflicted].map(nidOf), async (nids) => graph.between(nids));
      },
    };
  }
}

const refOf = (stored: StoredEvent): StateRef => ({
  nid: stored.nid,
  eventId: stored.event.eventId,
  membership: membershipOf(stored.event),
});

const refsById = (maps: readonly ReadonlyMap<StateKey, StateRef>[]): Map<EventId, StateRef> => {
  const refs = new Map<EventId, StateRef>();
  for (const map of maps) for (const ref of map.values()) refs.set(ref.eventId, ref);
  return refs;
};

const changesFrom = (
  base: StateSnapshot,
  resolved: StateMap,
  refs: ReadonlyMap<EventId, StateRef>,
): Map<StateKey, StateRef | Removed> => {
  const changes = new Map<StateKey, StateRef | Removed>();
  for (const [key, id] of resolved) {
    if (base.get(key)?.eventId === id) continue;
    const ref = refs.get(id);
    if (ref === undefined) throw new Error(`Resolved state names unknown event ${id}`);
    changes.set(key, ref);
  }
  for (const [key, { nid }] of base.entries()) {
    if (!resolved.has(key)) changes.set(key, { removedNid: nid });
  }
  return changes;
};
