/**
 * The mainline ordering of room versions 2 and later.
 *
 * Specification: https://spec.matrix.org/v1.19/rooms/v2/#definitions
 */
import type { MatrixEvent } from '../event.ts';
import type { EventId } from '../identifiers.ts';
import type { EventCache } from './event-source.ts';
import { isEarlier } from './power-ordering.ts';

/** The mainline position of an event that leads to no event of the mainline. */
const NOWHERE = Number.POSITIVE_INFINITY;

/**
 * Orders `events` by the mainline of `powerLevels`, the power levels event of the partially
 * resolved state: first those that rest on the earliest power levels, or on none.
 */
export const mainlineOrdering = async (
  events: readonly MatrixEvent[],
  powerLevels: MatrixEvent | undefined,
  cache: EventCache,
): Promise<MatrixEvent[]> => {
  const mainline = await mainlineOf(powerLevels, cache);
  const positions = await mainlinePositionsOf(events, mainline, cache);
  return [...events].sort((x, y) => {
    const xPosition = positions.get(x) ?? NOWHERE;
    const yPosition = positions.get(y) ?? NOWHERE;
    // 1. x < y if the mainline position of x is greater than that of y;
    if (xPosition !== yPosition) return xPosition > yPosition ? -1 : 1;
    // 2., 3. then by time, then by event id.
    return isEarlier(x, y) ? -1 : 1;
  });
};

/** The first power levels event that `event` cites. Its auth events have been loaded. */
const citedPowerLevels = (event: MatrixEvent, cache: EventCache): MatrixEvent | undefined =>
  cache
    .authEventsOf(event)
    .find((cited) => cited.type === 'm.room.power_levels' && cited.stateKey === '');

/** The index of each event of the mainline of `powerLevels`, which is its event 0. */
const mainlineOf = async (
  powerLevels: MatrixEvent | undefined,
  cache: EventCache,
): Promise<Map<EventId, number>> => {
  const mainline = new Map<EventId, number>();
  let current = powerLevels;
  while (current !== undefined && !mainline.has(current.eventId)) {
    mainline.set(current.eventId, mainline.size);
    await cache.load(current.authEventIds);
    current = citedPowerLevels(current, cache);
  }
  return mainline;
};

/**
 * The mainline position of each event. All the events step from power levels to power levels
 * together, so that a step is one fetch, and no power levels event is stepped through twice.
 */
const mainlinePositionsOf = async (
  events: readonly MatrixEvent[],
  mainline: ReadonlyMap<EventId, number>,
  cache: EventCache,
): Promise<Map<MatrixEvent, number>> => {
  const citedBy = new Map<MatrixEvent, MatrixEvent | undefined>();
  let level = [...events];
  while (level.length > 0) {
    await cache.load(level.flatMap((event) => event.authEventIds));
    const next = new Set<MatrixEvent>();
    for (const event of level) {
      const cited = citedPowerLevels(event, cache);
      citedBy.set(event, cited);
      if (cited !== undefined && !mainline.has(cited.eventId)) next.add(cited);
    }
    level = [...next].filter((event) => !citedBy.has(event));
  }

  const positions = new Map<MatrixEvent, number>();
  for (const event of events) {
    const path: MatrixEvent[] = [];
    const onPath = new Set<MatrixEvent>();
    let position: number | undefined;
    let current: MatrixEvent | undefined = event;
    while (current !== undefined && position === undefined && !onPath.has(current)) {
      path.push(current);
      onPath.add(current);
      const cited: MatrixEvent | undefined = citedBy.get(current);
      if (cited !== undefined) position = mainline.get(cited.eventId) ?? positions.get(cited);
      current = cited;
    }
    for (const passed of path) positions.set(passed, position ?? NOWHERE);
  }
  return positions;
};
