/**
 * The state part of a room in a sync response: in full for a room new to the reader, otherwise what
 * changed; as of the start of the timeline, or of its end where the reader asks for `state_after`.
 * https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
import { LRUCache } from 'lru-cache';
import { type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { EventView } from '../rooms/client-events.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { memberOfKey } from '../rooms/live-room.ts';
import type { SnapshotStore } from '../rooms/snapshot-store.ts';
import type { StateSnapshot } from '../rooms/state-snapshot.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { Db } from '../storage/database.ts';
import { currentSnapshotAt } from '../storage/events.ts';
import { stateChangesBetween } from '../storage/snapshots.ts';
import type { RoomReading } from './room-reading.ts';
import type { SyncContext } from './sync-stream.ts';

/** One change of the current state; 0 removes the entry. */
interface Change {
  readonly key: StateKey;
  readonly nid: number;
}

/** Members sent to a device: nid of the member event to the position of that response. */
type SentMembers = LRUCache<number, number>;

const maxDevices = 2000;
const maxMembersPerDevice = 1000;

export class RoomStateReader {
  readonly #db: Db;
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;
  /** What was sent stays sent, and only what is committed is: a reset of the log changes nothing. */
  readonly #sentMembers = new LRUCache<string, SentMembers>({ max: maxDevices });

  constructor(db: Db, events: EventStore, snapshots: SnapshotStore) {
    this.#db = db;
    this.#events = events;
    this.#snapshots = snapshots;
  }

  read(context: SyncContext, reading: RoomReading): EventView[] | Promise<EventView[]> {
    const { state: filter } = context.filter.room;
    if (filter.matchesNothing || !filter.matchesRoom(reading.room.roomId)) return [];
    if (reading.fullState) return this.#full(context, reading);
    const changes = this.#changes(context, reading);
    if (Array.isArray(changes)) return this.#changed(context, reading, changes);
    // Who has been away for longer than changes are kept gets the whole state.
    return changes.then((found) =>
      found === undefined ? this.#full(context, reading) : this.#changed(context, reading, found),
    );
  }

  /** The room's current state as it was at a position. */
  async stateAt(
    reading: Pick<RoomReading, 'room' | 'live' | 'access' | 'upTo'>,
  ): Promise<StateSnapshot> {
    const { room, live, access, upTo } = reading;
    if (access.departure?.streamPos === upTo) return access.state();
    if (!live.dead && live.recent.lastPosition <= upTo) return live.committed.state;
    const nid = await currentSnapshotAt(this.#db, room.roomNid, upTo);
    return this.#snapshots.load(room.roomNid, nid ?? 0);
  }

  async #full(context: SyncContext, reading: RoomReading): Promise<EventView[]> {
    const state = await this.stateAt(reading);
    const shown = shownByKey(reading);
    const lazy = context.filter.room.state.lazyLoadMembers;
    const wanted = lazy ? this.#neededMembers(context, reading) : undefined;
    const nids: number[] = [];
    for (const [key, ref] of state.entries()) {
      const member = wanted === undefined ? undefined : memberOfKey(key);
      if (member !== undefined && !wanted?.has(member)) continue;
      const nid = context.useStateAfter ? ref.nid : (beforeTimeline(shown.get(key)) ?? ref.nid);
      if (nid !== 0) nids.push(nid);
    }
    if (lazy) this.#remember(context, reading, state);
    // Oldest first, however the state was put together.
    nids.sort((a, b) => a - b);
    return this.#load(context, reading, nids);
  }

  /** Memory first: a reader who keeps up costs no query. */
  #changes(
    context: SyncContext,
    { room, live, upTo }: RoomReading,
  ): Change[] | Promise<Change[] | undefined> {
    const after = context.from?.position ?? 0;
    const entries = live.recent.between(after, upTo);
    if (entries !== undefined) {
      const changes: Change[] = [];
      for (const entry of entries) {
        for (const [key, ref] of entry.changes) {
          changes.push({ key, nid: 'removedNid' in ref ? 0 : ref.nid });
        }
      }
      return changes;
    }
    return stateChangesBetween(this.#db, room.roomNid, after, upTo).then((rows) =>
      rows?.map((row) => ({ key: stateKeyOf(row.type, row.state_key), nid: row.event_nid })),
    );
  }

  #changed(
    context: SyncContext,
    reading: RoomReading,
    changes: readonly Change[],
  ): EventView[] | Promise<EventView[]> {
    if (changes.length === 0 && !context.filter.room.state.lazyLoadMembers) return [];
    const shown = new Set(reading.views.map(({ stored }) => stored.nid));
    const latest = new Map<StateKey, number>();
    for (const { key, nid } of changes) {
      // What the timeline shows, the reader learns from the timeline.
      if (context.useStateAfter || !shown.has(nid)) latest.set(key, nid);
    }
    const nids = [...latest.values()].filter((nid) => nid !== 0);
    if (!context.filter.room.state.lazyLoadMembers) {
      return nids.length === 0 ? [] : this.#load(context, reading, nids);
    }
    const state =
      reading.access.standing === 'member' ? reading.live.committed.state : this.stateAt(reading);
    if (state instanceof Promise) {
      return state.then((found) => {
        this.#addSenders(context, reading, found, latest, nids);
        return this.#load(context, reading, nids);
      });
    }
    this.#addSenders(context, reading, state, latest, nids);
    return nids.length === 0 ? [] : this.#load(context, reading, nids);
  }

  /** The members who sent what the timeline shows, unless this device has them already. */
  #addSenders(
    context: SyncContext,
    reading: RoomReading,
    state: StateSnapshot,
    changed: ReadonlyMap<StateKey, number>,
    nids: number[],
  ): void {
    const sent = this.#sentTo(context);
    const redundant = context.filter.room.state.includeRedundantMembers;
    const shown = shownByKey(reading);
    for (const userId of this.#neededMembers(context, reading)) {
      const key = stateKeyOf('m.room.member', userId);
      if (changed.has(key)) continue;
      // Who comes, goes or takes another name in the timeline is shown as who they were before it.
      const nid = context.useStateAfter
        ? state.get(key)?.nid
        : (beforeTimeline(shown.get(key)) ?? state.get(key)?.nid);
      if (nid === undefined || nid === 0) continue;
      const sentAt = sent?.get(nid);
      const known = sentAt !== undefined && sentAt <= (context.from?.position ?? -1);
      if (known && !redundant) continue;
      nids.push(nid);
      sent?.set(nid, context.to.position);
    }
  }

  /** Senders of the timeline, and the reader where their own membership is to be shown. */
  #neededMembers(context: SyncContext, reading: RoomReading): Set<UserId> {
    const users = new Set<UserId>();
    for (const { stored } of reading.views) users.add(stored.event.sender);
    if (reading.fullState) users.add(context.userId);
    return users;
  }

  #remember(context: SyncContext, reading: RoomReading, state: StateSnapshot): void {
    const sent = this.#sentTo(context);
    if (sent === undefined) return;
    for (const userId of this.#neededMembers(context, reading)) {
      const ref = state.get(stateKeyOf('m.room.member', userId));
      if (ref !== undefined) sent.set(ref.nid, context.to.position);
    }
  }

  #sentTo({ userId, deviceId }: SyncContext): SentMembers | undefined {
    if (deviceId === undefined) return undefined;
    const key = `${userId} ${deviceId}`;
    let sent = this.#sentMembers.get(key);
    if (sent === undefined) {
      sent = new LRUCache({ max: maxMembersPerDevice });
      this.#sentMembers.set(key, sent);
    }
    return sent;
  }

  #load(
    context: SyncContext,
    reading: RoomReading,
    nids: readonly number[],
  ): EventView[] | Promise<EventView[]> {
    const { state: filter } = context.filter.room;
    const select = (found: readonly (StoredEvent | undefined)[]) =>
      reading.access.stateViews(
        found.filter(
          (stored) => stored !== undefined && filter.matchesEvent(stored.event),
        ) as StoredEvent[],
      );
    const cached = nids.map((nid) => this.#events.cached(nid));
    if (!cached.includes(undefined)) return select(cached);
    return this.#events
      .manyByNid(reading.room.roomNid, nids)
      .then((found) => select(nids.map((nid) => found.get(nid))));
  }
}

/** The first event the timeline shows for each state key. */
const shownByKey = ({ views }: RoomReading): Map<StateKey, StoredEvent> => {
  const byKey = new Map<StateKey, StoredEvent>();
  for (const { stored } of views) {
    if (stored.event.stateKey === undefined) continue;
    const key = stateKeyOf(stored.event.type, stored.event.stateKey);
    if (!byKey.has(key)) byKey.set(key, stored);
  }
  return byKey;
};

/** What an entry was before the timeline first shows it: a nid, 0 for nothing. */
const beforeTimeline = (shown: StoredEvent | undefined): number | undefined =>
  shown === undefined ? undefined : (shown.replacesNid ?? 0);
