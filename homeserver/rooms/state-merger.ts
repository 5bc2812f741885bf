/** The state of a room with several forward extremities, by state resolution over stored events. */
import { LRUCache } from 'lru-cache';
import type { StateKey, StateMap } from '../../spec/event.ts';
import type { EventId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { ResolutionSource } from '../../spec/state-resolution/event-source.ts';
import { resolveDifferences } from '../../spec/state-resolution/resolve.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { turns } from '../turns.ts';
import type { AuthChains } from './auth-chains.ts';
import type { ChainGraph, Reach } from './chain-graph.ts';
import type { EventStore } from './event-store.ts';
import { type AgreedNids, eventIdsIn, type ForkedStates, StateForks } from './forked-states.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import { type Removed, type StateRef, StateSnapshot } from './state-snapshot.ts';
import { type StoredEvent, stateRefOf } from './stored-event.ts';

export interface Merged {
  readonly state: StateSnapshot;
  /** The snapshot is not in the database yet: the caller stores it with what refers to it. */
  readonly isNew: boolean;
}

type Room = { readonly nid: number; readonly rules: RoomVersionRules };

/** Steps upwards in the auth graph before it is looked at from all of the state instead. */
const maxAuthVisits = 20_000;

export class StateMerger {
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;
  readonly #chains: AuthChains;
  readonly #ids: IdAllocator;
  readonly #forks = new StateForks();
  /** Merges already made: while a room stays forked, most events meet the same states again. */
  readonly #made = new LRUCache<string, StateSnapshot>({ max: 1000 });
  /** Of merges made: those whose first use has not been written yet. */
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
   * Resolves these states of a room, all of them together: resolving some and the outcome with the
   * rest is not the same. The result is stored as changes to `base`, which should be near it (the
   * state before, or one of the states).
   * @throws MissingEventsError
   */
  async merge(room: Room, states: readonly StateSnapshot[], base: StateSnapshot): Promise<Merged> {
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
    this.#forks.clear();
  }

  async #resolve(
    room: Room,
    distinct: readonly StateSnapshot[],
    base: StateSnapshot,
  ): Promise<Merged> {
    const giveWay = turns();
    const forks = await this.#forks.compare(distinct, giveWay);
    const refs = refsById(forks.differing);
    const resolved = await resolveDifferences(
      room.rules,
      forks.agreed,
      forks.differing.map(eventIdsIn),
      this.#source(room.nid, forks, refs, giveWay),
    );
    return this.#snapshotOf(room.nid, resolved, forks, refs, [base, ...distinct]);
  }

  async #snapshotOf(
    roomNid: number,
    resolved: StateMap,
    forks: ForkedStates,
    refs: Map<EventId, StateRef>,
    candidates: readonly StateSnapshot[],
  ): Promise<Merged> {
    const unknown = [...resolved.values()].filter((id) => !refs.has(id));
    for (const [id, stored] of await this.#events.manyInRoom(roomNid, unknown)) {
      refs.set(id, stateRefOf(stored));
    }
    let best: { base: StateSnapshot; changes: Map<StateKey, StateRef | Removed> } | undefined;
    for (const base of candidates) {
      const changes = this.#changesFrom(base, resolved, forks, refs);
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

  /** The changes from any state of the room to the resolved one. */
  #changesFrom(
    base: StateSnapshot,
    resolved: StateMap,
    { pivot, keys }: ForkedStates,
    refs: ReadonlyMap<EventId, StateRef>,
  ): Map<StateKey, StateRef | Removed> {
    const changes = new Map<StateKey, StateRef | Removed>();
    const consider = (key: StateKey, wanted: StateRef | undefined): void => {
      const held = base.get(key);
      if (held?.nid === wanted?.nid) return;
      if (wanted !== undefined) changes.set(key, wanted);
      else if (held !== undefined) changes.set(key, { removedNid: held.nid });
    };
    for (const [key, id] of resolved) {
      const ref = refs.get(id);
      if (ref === undefined) throw new Error(`Resolved state names unknown event ${id}`);
      consider(key, ref);
    }
    for (const key of keys) if (!resolved.has(key)) consider(key, undefined);
    // What the states agree on, where the base is none of them.
    for (const key of this.#forks.changes(pivot, base).keys()) {
      if (!keys.has(key) && !resolved.has(key)) consider(key, pivot.get(key));
    }
    return changes;
  }

  #source(
    roomNid: number,
    forks: ForkedStates,
    refs: ReadonlyMap<EventId, StateRef>,
    giveWay: () => Promise<void> | undefined,
  ): ResolutionSource {
    const seen = new Map<EventId, StoredEvent>();
    const nidOf = (id: EventId): number | undefined => refs.get(id)?.nid ?? seen.get(id)?.nid;
    const idsOf = async (nids: readonly number[] | undefined) => {
      if (nids === undefined) return undefined;
      const stored = await this.#events.manyByNid(roomNid, nids);
      for (const event of stored.values()) seen.set(event.event.eventId, event);
      return new Set([...stored.values()].map(({ event }) => event.eventId));
    };
    return {
      giveWay,
      fetchEvents: async (ids) => {
        const found = await this.#events.manyInRoom(roomNid, ids);
        for (const [id, stored] of found) seen.set(id, stored);
        return new Map([...found].map(([id, { event }]) => [id, event]));
      },
      isRejected: (id) => seen.get(id)?.rejectedReason !== undefined,
      authDifference: async () => {
        const graph = await this.#chains.graphOf(roomNid);
        return idsOf(await authDifference(graph, forks, giveWay));
      },
      conflictedSubgraph: async (conflicted) => {
        const nids = [...conflicted].map(nidOf).filter((nid) => nid !== undefined);
        if (nids.length < conflicted.size) return undefined;
        return idsOf((await this.#chains.graphOf(roomNid)).between(nids));
      },
    };
  }
}

/** By nid; undefined where some of the events have no place in the graph. */
const authDifference = async (
  graph: ChainGraph,
  forks: ForkedStates,
  giveWay: () => Promise<void> | undefined,
): Promise<number[] | undefined> => {
  const reaches = [];
  for (const state of forks.differing) {
    const reach = graph.authChainReach([...state.values()].map(({ nid }) => nid));
    if (reach === undefined) return undefined;
    reaches.push(reach);
    await giveWay();
  }
  const difference = graph.difference(reaches);
  // What the auth chain of something they agree on has, the chains of all states have.
  if (difference.length === 0) return difference;
  const agreed = await forks.agreedNids();
  if (!(await arePlaced(graph, agreed, giveWay))) return undefined;
  const own = graph.inNoAuthChain(difference, agreed.has, maxAuthVisits);
  if (own !== undefined) return own;
  await giveWay();
  const common: Reach = new Map();
  for (const nid of agreed) {
    graph.authChainReach([nid], common);
    const pause = giveWay();
    if (pause !== undefined) await pause;
  }
  return difference.filter((nid) => !graph.reaches(common, nid));
};

/** States all of whose events have places in a graph, which keeps what it has. */
const placedStates = new WeakMap<AgreedNids['among'], ChainGraph>();

const arePlaced = async (
  graph: ChainGraph,
  agreed: AgreedNids,
  giveWay: () => Promise<void> | undefined,
): Promise<boolean> => {
  if (placedStates.get(agreed.among) === graph) return true;
  let areAll = true;
  for (const nid of agreed.among) {
    if (graph.placeOf(nid) === undefined) {
      if (agreed.has(nid)) return false;
      areAll = false;
    }
    const pause = giveWay();
    if (pause !== undefined) await pause;
  }
  if (areAll) placedStates.set(agreed.among, graph);
  return true;
};

const refsById = (states: readonly ReadonlyMap<StateKey, StateRef>[]): Map<EventId, StateRef> => {
  const refs = new Map<EventId, StateRef>();
  for (const state of states) for (const ref of state.values()) refs.set(ref.eventId, ref);
  return refs;
};
