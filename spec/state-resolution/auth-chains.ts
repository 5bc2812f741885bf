/**
 * Auth chains and the sets that state resolution derives from them, by walking the graph of auth
 * events. Every walk is iterative, level by level, and visits an event once: neither the depth of a
 * chain nor a cycle in it matters.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v12/#definitions
 */
import type { StateMap } from '../event.ts';
import type { EventId } from '../identifiers.ts';
import type { AgreedState, EventCache } from './event-source.ts';

/**
 * The events of the auth chains of `eventIds` (an event is not part of its own chain unless another
 * one leads to it), loaded together with `eventIds`. Events in `skip` are neither reported nor
 * walked through. `onLevel` sees each level and may end the walk by answering `false`.
 */
const walkAuthChains = async (
  eventIds: Iterable<EventId>,
  events: EventCache,
  skip: ReadonlySet<EventId> = new Set(),
  onLevel: (level: ReadonlySet<EventId>) => boolean = () => true,
): Promise<Set<EventId>> => {
  const chain = new Set<EventId>();
  let level = new Set(eventIds);
  while (level.size > 0) {
    await events.load(level);
    const next = new Set<EventId>();
    for (const eventId of level) {
      for (const authEventId of events.get(eventId).authEventIds) {
        if (chain.has(authEventId) || skip.has(authEventId)) continue;
        chain.add(authEventId);
        next.add(authEventId);
      }
    }
    if (!onLevel(next)) break;
    level = next;
  }
  return chain;
};

/**
 * The events that are in the full auth chain of some but not all of the states, where the full auth
 * chain of a state is the union of the auth chains of its events.
 *
 * What the states agree on contributes the same to each chain, so the chains of what differs are
 * compared first, and the events agreed on are fetched only if those differ.
 */
export const authDifferenceByWalking = async (
  differing: readonly StateMap[],
  agreed: AgreedState,
  events: EventCache,
): Promise<Set<EventId>> => {
  const chains: Set<EventId>[] = [];
  for (const state of differing) chains.push(await walkAuthChains(state.values(), events));

  const difference = new Set<EventId>();
  const common = new Set<EventId>();
  for (const chain of chains) {
    for (const eventId of chain) {
      if (common.has(eventId) || difference.has(eventId)) continue;
      const isCommon = chains.every((other) => other.has(eventId));
      (isCommon ? common : difference).add(eventId);
    }
  }
  if (difference.size === 0) return difference;

  // What a common event leads to is common as well, hence never worth walking into.
  await walkAuthChains(agreed.values(), events, common, (level) => {
    for (const eventId of level) difference.delete(eventId);
    return difference.size > 0;
  });
  return difference;
};

/**
 * The events on any path of auth events between two events of the conflicted state set, its ends
 * included. Events of the set that no path joins are reported too; they are in the full conflicted
 * set in any case.
 */
export const conflictedSubgraphByWalking = async (
  conflicted: ReadonlySet<EventId>,
  events: EventCache,
): Promise<Set<EventId>> => {
  const chain = await walkAuthChains(conflicted, events);

  const citedBy = new Map<EventId, EventId[]>();
  for (const eventId of new Set([...conflicted, ...chain])) {
    for (const authEventId of events.get(eventId).authEventIds) {
      const citing = citedBy.get(authEventId);
      if (citing === undefined) citedBy.set(authEventId, [eventId]);
      else citing.push(eventId);
    }
  }

  // All of `citedBy` is reachable from the set; of that, keep what the set is reachable from.
  const subgraph = new Set(conflicted);
  const pending = [...conflicted];
  for (let eventId = pending.pop(); eventId !== undefined; eventId = pending.pop()) {
    for (const citing of citedBy.get(eventId) ?? []) {
      if (subgraph.has(citing)) continue;
      subgraph.add(citing);
      pending.push(citing);
    }
  }
  return subgraph;
};
