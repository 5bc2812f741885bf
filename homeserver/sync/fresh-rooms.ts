/**
 * What the parts of rooms new to a reader are made of, read for many rooms at once: a first sync costs
 * some statements for each hundred rooms, and not some for each room. Nothing is decided here: what
 * the readers of single rooms will ask for is in memory when they ask.
 */
import { type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { memberOfKey } from '../rooms/live-room.ts';
import type { SnapshotStore } from '../rooms/snapshot-store.ts';
import { traceIn, tracesAlong } from '../rooms/state-traces.ts';
import type { StoredEvent } from '../rooms/stored-event.ts';
import type { ReadableRoom } from '../rooms/stored-rooms.ts';
import type { Stretch } from '../rooms/timeline.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { SyncContext } from './sync-stream.ts';

export interface FreshRoom {
  readonly room: UserRoom;
  readonly live: ReadableRoom;
  readonly stretch: Stretch;
}

/**
 * So many rooms at a time, while the next are being read: what is at hand survives collections of
 * garbage, which then cost more than the statements that are saved. Each with its members, unless they
 * are more than `maxMembers`.
 */
export const freshRoomsTogether = 50;
const maxMembers = 300;

const visibilityKey = stateKeyOf('m.room.history_visibility', '');
const summaryKeys = [stateKeyOf('m.room.name', ''), stateKeyOf('m.room.canonical_alias', '')];

type Wanted = Map<number, { readonly roomNid: number; readonly nid: number }>;

export class FreshRooms {
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;

  constructor(events: EventStore, snapshots: SnapshotStore) {
    this.#events = events;
    this.#snapshots = snapshots;
  }

  /** Keeps everything at hand until what is returned is called. */
  async hold(context: SyncContext, rooms: readonly FreshRoom[]): Promise<() => void> {
    const shown = new Map<number, StoredEvent>();
    for (const { stretch } of rooms)
      for (const stored of stretch.events) shown.set(stored.nid, stored);
    const wanted: Wanted = new Map();
    for (const { live, stretch } of rooms) {
      for (const nid of stateNids(context, live, stretch))
        wanted.set(nid, { roomNid: live.nid, nid });
    }
    for (const stored of shown.values()) addReferred(wanted, stored);
    await this.#addSettings(context, wanted, rooms, shown);
    const state = await this.#read(wanted, shown);
    // What a state event replaced is told with it.
    const referred: Wanted = new Map();
    for (const stored of state.values()) addReferred(referred, stored);
    for (const nid of wanted.keys()) referred.delete(nid);
    const before = await this.#read(referred, shown);
    return this.#events.hold([...shown.values(), ...state.values(), ...before.values()]);
  }

  async #read(
    wanted: Wanted,
    shown: ReadonlyMap<number, StoredEvent>,
  ): Promise<Map<number, StoredEvent>> {
    return this.#events.manyOfRooms([...wanted.values()].filter(({ nid }) => !shown.has(nid)));
  }

  /** Who may see what came before the reader did hangs on the states of then. */
  async #addSettings(
    { userId }: SyncContext,
    wanted: Wanted,
    rooms: readonly FreshRoom[],
    shown: ReadonlyMap<number, StoredEvent>,
  ): Promise<void> {
    const states: Wanted = new Map();
    const add = (roomNid: number, nid: number | undefined): void => {
      if (nid !== undefined) wanted.set(nid, { roomNid, nid });
    };
    for (const { room, live, stretch } of rooms) {
      const { roomNid } = room;
      const earlier = stretch.events.filter(
        ({ streamPos, backfillPos }) => backfillPos !== 0 || (streamPos ?? 0) < room.membershipPos,
      );
      if (earlier.length === 0) continue;
      const along = { state: live.committed.state, events: stretch.events };
      const traces = tracesAlong(userId, along, (nid) => shown.get(nid));
      for (const { snapshotBefore, snapshotAfter } of earlier) {
        for (const nid of [snapshotBefore, snapshotAfter]) {
          if (nid === undefined) continue;
          const trace = traces.get(nid);
          if (trace === undefined) states.set(nid, { roomNid, nid });
          else add(roomNid, trace.settingNid);
        }
      }
    }
    const found = await this.#snapshots.loadOfRooms(states.values());
    for (const [nid, state] of found) {
      const roomNid = states.get(nid)?.roomNid;
      if (roomNid !== undefined) add(roomNid, traceIn(state, userId).settingNid);
    }
  }
}

/** The state events that a room's part may show or draw on. */
const stateNids = (context: SyncContext, live: ReadableRoom, stretch: Stretch): number[] => {
  const { state } = live.committed;
  const { state: filter } = context.filter.room;
  if (filter.matchesNothing) {
    return [visibilityKey, ...summaryKeys].flatMap((key) => state.get(key)?.nid ?? []);
  }
  const senders = new Set<StateKey>([stateKeyOf('m.room.member', context.userId)]);
  for (const { event } of stretch.events) senders.add(stateKeyOf('m.room.member', event.sender));
  const withMembers = !filter.lazyLoadMembers && live.committed.joinedCount <= maxMembers;
  const nids: number[] = [];
  for (const [key, { nid }] of state.entries()) {
    if (withMembers || senders.has(key) || memberOfKey(key) === undefined) nids.push(nid);
  }
  return nids;
};

const addReferred = (
  wanted: Wanted,
  { roomNid, replacesNid, redactedByNid }: StoredEvent,
): void => {
  for (const nid of [replacesNid, redactedByNid]) {
    if (nid !== undefined) wanted.set(nid, { roomNid, nid });
  }
};
