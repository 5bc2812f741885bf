/**
 * The reverse topological power ordering of room versions 2 and later.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
import type { MatrixEvent } from '../event.ts';
import { MinHeap } from './min-heap.ts';

/**
 * The lexicographically smallest topological ordering of `events`, earliest first: an event comes
 * after those of its auth events that are among `events`. Paths that leave `events` and come back do
 * not order anything; this is how every deployed server reads the specification, and the point is to
 * agree with them.
 *
 * Events on a cycle, and those that only come after one, have no place in any topological ordering
 * and are left out. They cannot be authorised either.
 */
export const reverseTopologicalPowerOrdering = (
  events: readonly MatrixEvent[],
  senderPowerOf: (event: MatrixEvent) => number,
): MatrixEvent[] => {
  const candidates = new Map(
    events.map((event) => [event.eventId, { event, power: senderPowerOf(event) }]),
  );
  type Candidate = { readonly event: MatrixEvent; readonly power: number };

  const citedBy = new Map<string, Candidate[]>();
  const waitingFor = new Map<Candidate, number>();
  for (const candidate of candidates.values()) {
    let count = 0;
    for (const authEventId of new Set(candidate.event.authEventIds)) {
      if (!candidates.has(authEventId)) continue;
      count += 1;
      const citing = citedBy.get(authEventId);
      if (citing === undefined) citedBy.set(authEventId, [candidate]);
      else citing.push(candidate);
    }
    waitingFor.set(candidate, count);
  }

  // Kahn's algorithm, taking the smallest of the candidates at each step.
  const ready = new MinHeap<Candidate>((x, y) => {
    // 1. x < y if x's sender has greater power than y's, going by their own auth events;
    if (x.power !== y.power) return x.power > y.power;
    // 2., 3. then by time, then by event id.
    return isEarlier(x.event, y.event);
  });
  for (const [candidate, count] of waitingFor) if (count === 0) ready.push(candidate);

  const ordered: MatrixEvent[] = [];
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) {
    ordered.push(next.event);
    for (const citing of citedBy.get(next.event.eventId) ?? []) {
      const count = waitingFor.get(citing)! - 1;
      waitingFor.set(citing, count);
      if (count === 0) ready.push(citing);
    }
  }
  return ordered;
};

/**
 * The comparison that settles ties in both orderings: `origin_server_ts`, then the event id. Event
 * ids compare by code unit, which for their alphabet is the order of their bytes.
 */
export const isEarlier = (x: MatrixEvent, y: MatrixEvent): boolean =>
  x.originServerTs !== y.originServerTs
    ? x.originServerTs < y.originServerTs
    : x.eventId < y.eventId;
