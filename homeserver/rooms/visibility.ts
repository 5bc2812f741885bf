/**
 * Who may see which events of a room, by the room's state at each of them. Readers do not ask here
 * but through `RoomAccess`.
 * https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
import { stateKeyOf } from '../../spec/event.ts';
import {
  historyVisibilityOf,
  type Membership,
  mayUserSee,
  type UserStanding,
} from '../../spec/history-visibility.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { BoundedCache } from '../bounded-cache.ts';
import type { EventStore } from './event-store.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import { type KnownEnd, type Trace, traceIn, tracesAlong } from './state-traces.ts';
import type { StoredEvent } from './stored-event.ts';

const visibilityKey = stateKeyOf('m.room.history_visibility', '');
/** How often a room's setting may have changed for it to count as open. */
const maxSettings = 20;
const maxKnownSettings = 10_000;
const noTraces: ReadonlyMap<number, Trace> = new Map();

export interface Reader {
  readonly userId: UserId;
  /** The latest position at which they were joined: -1 if never, no end while they are. */
  readonly joinedUpTo: number;
}

/** What someone was to a room around an event they may see. */
export interface Sight {
  readonly membershipBefore: Membership;
  readonly membershipAfter: Membership;
}

/** What a user was to a room, by state snapshot. */
type Standings = ReadonlyMap<number, UserStanding>;

export class Visibility {
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;
  /** Whether all settings up to one, by the nid of its event, let members see everything. */
  readonly #openUpTo = new BoundedCache<number, boolean>(maxKnownSettings);

  constructor(events: EventStore, snapshots: SnapshotStore) {
    this.#events = events;
    this.#snapshots = snapshots;
  }

  /**
   * How the reader sees these events of one room, by nid; those they may not see are left out. Links
   * of states that memory lacks are read once for all of them; none are along a stretch of the
   * timeline with the events, in order, whose end has a known state.
   */
  async sightsOf(
    reader: Reader,
    events: readonly StoredEvent[],
    along?: KnownEnd,
  ): Promise<Map<number, Sight>> {
    const sights = new Map<number, Sight>();
    const [first] = events;
    if (first === undefined) return sights;
    const known = along === undefined ? noTraces : this.#trace(reader.userId, along);
    const standings = await this.#standings(reader.userId, first.roomNid, events, known);
    for (const stored of events) {
      const sight = sightOf(reader, stored, standings);
      if (sight !== undefined) sights.set(stored.nid, sight);
    }
    return sights;
  }

  /** Whether the reader may be told a whole state that the room had at a position. */
  async maySeeState(
    reader: Reader,
    roomNid: number,
    state: StateSnapshot,
    position: number,
  ): Promise<boolean> {
    const before = {
      visibility: await this.settingIn(roomNid, state),
      membership: state.get(stateKeyOf('m.room.member', reader.userId))?.membership as Membership,
    };
    return mayUserSee({ before, joinedLater: position <= reader.joinedUpTo });
  }

  /** What the room's history visibility is in a state. */
  async settingIn(roomNid: number, state: StateSnapshot) {
    return historyVisibilityOf((await this.settingEvent(roomNid, state))?.event.content);
  }

  async settingEvent(roomNid: number, state: StateSnapshot): Promise<StoredEvent | undefined> {
    const ref = state.get(visibilityKey);
    return ref === undefined ? undefined : this.#events.byNid(roomNid, ref.nid);
  }

  /**
   * Whether history has always been `shared` or `world_readable`, so that a member may see all of it,
   * and who left all of it up to then. At once where that is known.
   */
  isOpen(roomNid: number, state: StateSnapshot): boolean | Promise<boolean> {
    const nid = state.get(visibilityKey)?.nid;
    if (nid === undefined) return true;
    return this.#openUpTo.get(nid) ?? this.#findOpen(roomNid, nid);
  }

  async #findOpen(roomNid: number, latestNid: number): Promise<boolean> {
    let nid: number | undefined = latestNid;
    let isOpen = true;
    for (let count = 0; isOpen && nid !== undefined; count += 1) {
      const stored: StoredEvent | undefined = await this.#events.byNid(roomNid, nid);
      const setting = historyVisibilityOf(stored?.event.content);
      isOpen =
        stored !== undefined &&
        count < maxSettings &&
        (setting === 'shared' || setting === 'world_readable');
      nid = stored?.replacesNid;
    }
    this.#openUpTo.set(latestNid, isOpen);
    return isOpen;
  }

  /** What the user was to the room in the states before and after these events, by snapshot. */
  async #standings(
    userId: UserId,
    roomNid: number,
    events: readonly StoredEvent[],
    known: ReadonlyMap<number, Trace>,
  ): Promise<Standings> {
    const traces = new Map<number, Trace>();
    const missing = new Set<number>();
    for (const { snapshotBefore, snapshotAfter } of events) {
      for (const nid of [snapshotBefore, snapshotAfter]) {
        if (nid === undefined) continue;
        const trace = known.get(nid);
        if (trace === undefined) missing.add(nid);
        else traces.set(nid, trace);
      }
    }
    if (missing.size > 0) {
      const states = await this.#snapshots.loadMany(roomNid, missing);
      for (const [nid, state] of states) traces.set(nid, traceIn(state, userId));
    }
    const settings = new Set<number>();
    for (const { settingNid } of traces.values()) {
      if (settingNid !== undefined) settings.add(settingNid);
    }
    const settingEvents = await this.#events.manyByNid(roomNid, settings);
    const standings = new Map<number, UserStanding>();
    for (const [nid, { settingNid, membership }] of traces) {
      const settingEvent = settingNid === undefined ? undefined : settingEvents.get(settingNid);
      standings.set(nid, {
        visibility: historyVisibilityOf(settingEvent?.event.content),
        membership: membership as Membership,
      });
    }
    return standings;
  }

  #trace(userId: UserId, along: KnownEnd): Map<number, Trace> {
    return tracesAlong(userId, along, (nid) => this.#events.cached(nid));
  }
}

const sightOf = (
  { joinedUpTo }: Reader,
  { snapshotBefore, snapshotAfter, streamPos }: StoredEvent,
  standings: Standings,
): Sight | undefined => {
  if (snapshotBefore === undefined || snapshotAfter === undefined) return undefined;
  const before = standings.get(snapshotBefore);
  const after = standings.get(snapshotAfter);
  if (before === undefined || after === undefined) return undefined;
  const joinedLater = (streamPos ?? Number.POSITIVE_INFINITY) <= joinedUpTo;
  if (!mayUserSee({ before, after, joinedLater })) return undefined;
  return { membershipBefore: before.membership, membershipAfter: after.membership };
};
