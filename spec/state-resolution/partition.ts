/**
 * Splits the states to be resolved into what they agree on and what they do not.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
import type { StateKey, StateMap } from '../event.ts';
import type { EventId } from '../identifiers.ts';

export interface Partition {
  /** The keys that every state has with the same event. Belongs to the caller. */
  readonly unconflicted: Map<StateKey, EventId>;
  /** Every other key with the events that some state has for it. */
  readonly conflicted: ReadonlyMap<StateKey, ReadonlySet<EventId>>;
}

/** One pass over each state; at least one state is needed. */
export const partitionStates = (states: readonly StateMap[]): Partition => {
  const first = states[0];
  if (first === undefined) throw new RangeError('No states to partition');
  const unconflicted = new Map(first);
  const conflicted = new Map<StateKey, Set<EventId>>();

  for (const state of states.slice(1)) {
    for (const [key, eventId] of state) {
      if (first.get(key) !== eventId) conflicted.set(key, new Set());
    }
    for (const key of first.keys()) {
      if (!state.has(key)) conflicted.set(key, new Set());
    }
  }
  for (const [key, eventIds] of conflicted) {
    unconflicted.delete(key);
    for (const state of states) {
      const eventId = state.get(key);
      if (eventId !== undefined) eventIds.add(eventId);
    }
  }
  return { unconflicted, conflicted };
};

/** The states as far as they differ: each with the keys that are conflicted alone. */
export const differingParts = (
  states: readonly StateMap[],
  { conflicted }: Partition,
): StateMap[] =>
  states.map((state) => {
    const part = new Map<StateKey, EventId>();
    for (const key of conflicted.keys()) {
      const eventId = state.get(key);
      if (eventId !== undefined) part.set(key, eventId);
    }
    return part;
  });

/** Whether two states are the same, whatever the order of their entries. */
export const statesEqual = (a: StateMap, b: StateMap): boolean => {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [key, eventId] of a) {
    if (b.get(key) !== eventId) return false;
  }
  return true;
};

/** The states without repetitions, in the order of their first appearance. */
export const distinctStates = (states: readonly StateMap[]): StateMap[] => {
  const distinct: StateMap[] = [];
  for (const state of states) {
    if (!distinct.some((other) => statesEqual(other, state))) distinct.push(state);
  }
  return distinct;
};
