/**
 * The states of a forked room, as far as they differ. States share what they grew from, so that two
 * of them are told apart by the changes since: what it costs to compare them is in proportion to
 * those, not to the room.
 */
import { LRUCache } from 'lru-cache';
import type { StateKey, StateMap } from '../../spec/event.ts';
import type { EventId } from '../../spec/identifiers.ts';
import type { AgreedState } from '../../spec/state-resolution/event-source.ts';
import type { StateDelta, StateRef, StateSnapshot } from './state-snapshot.ts';

/** Changes and entries held by each of the two caches, roughly. */
const maxHeld = 200_000;

/** Several states of one room. */
export interface ForkedStates {
  /** One of them, from which the others are told apart. */
  readonly pivot: StateSnapshot;
  readonly agreed: AgreedState;
  /** Of each state, the entries for keys that some two may have different events for. */
  readonly differing: readonly ReadonlyMap<StateKey, StateRef>[];
  readonly keys: ReadonlySet<StateKey>;
  /** The nids of all that the states agree on, which may be thousands. */
  agreedNids(): Promise<AgreedNids>;
}

export interface AgreedNids extends Iterable<number> {
  /** Those of the pivot: these and a few others. The same set for as long as it is in memory. */
  readonly among: ReadonlySet<number>;
  has(nid: number): boolean;
}

export class StateForks {
  readonly #changes = new LRUCache<string, StateDelta>({
    maxSize: maxHeld,
    sizeCalculation: (changes) => 10 + changes.size,
  });
  readonly #nids = new LRUCache<number, ReadonlySet<number>>({
    maxSize: maxHeld,
    sizeCalculation: (nids) => 1 + nids.size,
  });

  clear(): void {
    this.#changes.clear();
    this.#nids.clear();
  }

  /** The changes that lead from one state to another. */
  changes(from: StateSnapshot, to: StateSnapshot): StateDelta {
    const key = `${from.nid} ${to.nid}`;
    let changes = this.#changes.get(key);
    if (changes === undefined) {
      changes = from.changesTo(to);
      this.#changes.set(key, changes);
    }
    return changes;
  }

  /** At least one state; each is looked at in a step of its own. */
  async compare(
    states: readonly StateSnapshot[],
    giveWay: () => Promise<void> | undefined,
  ): Promise<ForkedStates> {
    // The oldest: while a room stays forked, the others are told apart from the same one again.
    const pivot = states.reduce((oldest, state) => (state.nid < oldest.nid ? state : oldest));
    const keys = new Set<StateKey>();
    for (const state of states) {
      for (const key of this.changes(pivot, state).keys()) keys.add(key);
      await giveWay();
    }
    const common = new Map<StateKey, StateRef>();
    for (const key of keys) {
      const ref = pivot.get(key);
      if (ref !== undefined) common.set(key, ref);
    }
    const differing: ReadonlyMap<StateKey, StateRef>[] = [];
    for (const state of states) {
      const part = new Map(common);
      for (const [key, ref] of this.changes(pivot, state)) {
        if ('removedNid' in ref) part.delete(key);
        else part.set(key, ref);
      }
      differing.push(part);
      await giveWay();
    }
    const excluded = new Set([...common.values()].map(({ nid }) => nid));
    return {
      pivot,
      keys,
      differing,
      agreed: {
        get: (key) => (keys.has(key) ? undefined : pivot.get(key)?.eventId),
        *values() {
          for (const [key, { eventId }] of pivot.entries()) if (!keys.has(key)) yield eventId;
        },
      },
      agreedNids: async () => {
        const nids = await this.#nidsOf(pivot, giveWay);
        return {
          among: nids,
          has: (nid) => !excluded.has(nid) && nids.has(nid),
          *[Symbol.iterator]() {
            for (const nid of nids) if (!excluded.has(nid)) yield nid;
          },
        };
      },
    };
  }

  async #nidsOf(
    state: StateSnapshot,
    giveWay: () => Promise<void> | undefined,
  ): Promise<ReadonlySet<number>> {
    const known = this.#nids.get(state.nid);
    if (known !== undefined) return known;
    const nids = new Set<number>();
    for (const [, { nid }] of state.entries()) {
      nids.add(nid);
      const pause = giveWay();
      if (pause !== undefined) await pause;
    }
    this.#nids.set(state.nid, nids);
    return nids;
  }
}

/** As state resolution takes them. */
export const eventIdsIn = (refs: ReadonlyMap<StateKey, StateRef>): StateMap => {
  const ids = new Map<StateKey, EventId>();
  for (const [key, { eventId }] of refs) ids.set(key, eventId);
  return ids;
};
