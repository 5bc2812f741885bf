/**
 * State resolution: one room state out of several, the same on every server.
 *
 * Specification: the "State resolution" section of each room version,
 * https://spec.matrix.org/v1.19/rooms/
 */
import type { StateMap } from '../event.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import type { ResolutionSource } from './event-source.ts';
import { distinctStates } from './partition.ts';
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
  return rules.stateResolution === 'v1'
    ? resolveV1(rules, distinct, source)
    : resolveV2(rules, distinct, source);
};
