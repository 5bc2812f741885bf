/**
 * State resolution: one room state out of several, the same on every server.
 *
 * Specification: the "State resolution" section of each room version,
 * https://spec.matrix.org/v1.19/rooms/
 */
import type { StateKey, StateMap } from '../event.ts';
import type { EventId } from '../identifiers.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import type { AgreedState, ResolutionSource } from './event-source.ts';
import { differingParts, distinctStates, partitionStates } from './partition.ts';
import { resolveV1 } from './resolve-v1.ts';
import { resolveV2 } from './resolve-v2.ts';

/**
 * Resolves the states after the previous events of an event, or at a room's forward extremities.
 * The result does not depend on the order of the states or of their entries. States that are equal
 * count once, and when only one is left it is the answer, the very map that was given: callers treat
 * state maps as immutable.
 *
 * Throws `MissingEventsError` if `source` does not know an event that is needed.
 */
export const resolveState = async (
  rules: RoomVersionRules,
  states: readonly StateMap[],
  source: ResolutionSource,
): Promise<StateMap> => {
  const distinct = distinctStates(states);
  const [only] = distinct;
  if (only === undefined) return new Map();
  if (distinct.length === 1) return only;
  const partition = partitionStates(distinct);
  const resolved = partition.unconflicted;
  const differing = differingParts(distinct, partition);
  for (const [key, eventId] of await resolveDifferences(rules, resolved, differing, source)) {
    resolved.set(key, eventId);
  }
  return resolved;
};

/**
 * `resolveState` for whoever knows already where the states may differ. Each of `differing` is one
 * state, as far as `agreed` does not have it: no key is in both, and what the states do agree on may
 * be in either.
 * @returns the resolved state's entries that `agreed` does not have
 */
export const resolveDifferences = async (
  rules: RoomVersionRules,
  agreed: AgreedState,
  differing: readonly StateMap[],
  source: ResolutionSource,
): Promise<ReadonlyMap<StateKey, EventId>> => {
  const partition = partitionStates(differing);
  if (partition.conflicted.size === 0) return partition.unconflicted;
  return rules.stateResolution === 'v1'
    ? resolveV1(rules, agreed, differing, source)
    : resolveV2(rules, agreed, differing, partition, source);
};
