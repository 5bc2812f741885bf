/**
 * Walking a room's event graph backwards, for `/backfill` and `/get_missing_events`.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
 */
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { StoredEvent } from '../../homeserver/rooms/stored-event.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { timelineBetween } from '../../homeserver/storage/events.ts';
import type { EventId } from '../../spec/identifiers.ts';

const startOfTimeline = { streamPos: 0, backfillPos: 0 };
/** Looked at for one answer; those that may not be given away count too. */
const MAX_STEPS = 500;

export class GraphWalk {
  readonly #db: Db;
  readonly #events: EventStore;

  constructor(deps: { readonly db: Db; readonly events: EventStore }) {
    this.#db = deps.db;
    this.#events = deps.events;
  }

  /** Up to `limit` events at and before those named, the deepest first. */
  async back(room: LiveRoom, from: readonly EventId[], limit: number): Promise<StoredEvent[]> {
    const starts = this.#inTimeline(room, await this.#events.manyById(from));
    await this.#warm(room, starts, limit);
    const found: StoredEvent[] = [];
    const frontier = new Map(starts.map((stored) => [stored.nid, stored]));
    const seen = new Set(frontier.keys());
    for (let step = 0; step < MAX_STEPS && found.length < limit; step += 1) {
      const deepest = deepestOf(frontier.values());
      if (deepest === undefined) break;
      frontier.delete(deepest.nid);
      if (isGiven(deepest)) found.push(deepest);
      const prevs = await this.#events.manyById(deepest.event.prevEventIds);
      for (const prev of this.#inTimeline(room, prevs)) {
        if (seen.has(prev.nid)) continue;
        seen.add(prev.nid);
        frontier.set(prev.nid, prev);
      }
    }
    return found;
  }

  /**
   * What comes before `latest` and after `earliest`, both left out: breadth first from `latest`, so
   * that with a limit the newest are found. Answered with the shallowest first.
   */
  async between(
    room: LiveRoom,
    {
      latest,
      earliest,
      limit,
      minDepth,
    }: {
      readonly latest: readonly EventId[];
      readonly earliest: readonly EventId[];
      readonly limit: number;
      readonly minDepth: number;
    },
  ): Promise<StoredEvent[]> {
    const excluded = new Set<EventId>([...latest, ...earliest]);
    const found: StoredEvent[] = [];
    let level = this.#inTimeline(room, await this.#events.manyById(latest));
    await this.#warm(room, level, limit);
    for (let steps = 0; level.length > 0 && found.length < limit; steps += level.length) {
      if (steps > MAX_STEPS) break;
      const ids = level.flatMap(({ event }) =>
        event.prevEventIds.filter((id) => !excluded.has(id)),
      );
      const prevs = this.#inTimeline(room, await this.#events.manyById(new Set(ids)));
      level = prevs.filter(({ event }) => event.depth >= minDepth).slice(0, limit - found.length);
      for (const { event } of level) excluded.add(event.eventId);
      found.push(...level.filter(isGiven));
    }
    return found.sort((a, b) => a.event.depth - b.event.depth);
  }

  #inTimeline(room: LiveRoom, events: ReadonlyMap<EventId, StoredEvent>): StoredEvent[] {
    return [...events.values()].filter(
      (stored) => stored.roomNid === room.nid && stored.snapshotBefore !== undefined,
    );
  }

  /** Most histories are straight: one query reads what would otherwise be read event by event. */
  async #warm(room: LiveRoom, starts: readonly StoredEvent[], limit: number): Promise<void> {
    const last = deepestOf(starts);
    if (last?.streamPos === undefined) return;
    const prevs = last.event.prevEventIds;
    if (prevs.every((id) => this.#events.cachedById(id) !== undefined)) return;
    const place = { streamPos: last.streamPos, backfillPos: last.backfillPos };
    const records = await timelineBetween(
      this.#db,
      room.nid,
      startOfTimeline,
      place,
      'backwards',
      limit,
    );
    this.#events.adopt(records);
  }
}

/** Rejected events lead on but are never given; soft-failed ones are, where others refer to them. */
const isGiven = (stored: StoredEvent): boolean => stored.rejectedReason === undefined;

const deepestOf = (events: Iterable<StoredEvent>): StoredEvent | undefined => {
  let deepest: StoredEvent | undefined;
  for (const stored of events) {
    if (deepest === undefined || stored.event.depth > deepest.event.depth) deepest = stored;
  }
  return deepest;
};
