/**
 * Rooms for one answer about many of them: those in memory as they are there, the others as they are
 * stored, with one statement for all. Nothing of these is kept: a first sync neither pays for rooms
 * that could be written to, nor drives those out of memory in which something happens.
 */

import { type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { EventId, RoomId, ServerName } from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import type { Db } from '../storage/database.ts';
import { type StoredRoomRecord, storedRooms } from '../storage/rooms.ts';
import type { LiveRoom } from './live-room.ts';
import type { RecentTimeline } from './recent-timeline.ts';
import type { RoomRegistry } from './room-registry.ts';
import { RoomView } from './room-view.ts';
import { type StateRef, StateSnapshot } from './state-snapshot.ts';

/** What readers need of a room. A {@link LiveRoom} is one. */
export interface ReadableRoom {
  readonly nid: number;
  readonly id: RoomId;
  readonly rules: RoomVersionRules;
  readonly localServer: ServerName;
  readonly committed: RoomView;
  readonly recent: Pick<RecentTimeline, 'between' | 'lastPosition'>;
  readonly missingPrevEvents: ReadonlyMap<EventId, boolean>;
  readonly dead: boolean;
}

export interface StoredRoomsDeps {
  readonly database: Db;
  readonly registry: RoomRegistry;
  readonly serverName: ServerName;
}

/** Rooms with more state are read as those are that come into memory: by what changed. */
const maxEntries = 500;

export class StoredRooms {
  readonly #deps: StoredRoomsDeps;

  constructor(deps: StoredRoomsDeps) {
    this.#deps = deps;
  }

  /** By nid; those this server does not have are left out. Ask for as many as may be held at a time. */
  async findMany(roomNids: readonly number[]): Promise<Map<number, ReadableRoom>> {
    const { database, registry, serverName } = this.#deps;
    const found = new Map<number, ReadableRoom>();
    const absent: number[] = [];
    for (const nid of roomNids) {
      const live = registry.cached(nid);
      if (live === undefined) absent.push(nid);
      else found.set(nid, live);
    }
    if (absent.length === 0) return found;
    const unusual = new Set(absent);
    for (const record of await storedRooms(database, absent, maxEntries)) {
      if (record.has_gaps || record.state.length > maxEntries) continue;
      unusual.delete(record.room_nid);
      found.set(record.room_nid, roomFrom(record, serverName));
    }
    for (const [nid, live] of await registry.findMany([...unusual])) found.set(nid, live);
    return found;
  }
}

const roomFrom = (record: StoredRoomRecord, localServer: ServerName): ReadableRoom => {
  const { room_nid: nid, room_id: id, version, joined, invited } = record;
  const rules = rulesOf(version);
  if (rules === undefined) throw new Error(`Room ${id} has version ${version}`);
  const entries = new Map<StateKey, StateRef>();
  for (const [type, stateKey, eventNid, eventId, membership] of record.state) {
    const ref = { nid: eventNid, eventId, membership: membership ?? undefined };
    entries.set(stateKeyOf(type, stateKey), ref);
  }
  const state = new StateSnapshot(record.snapshot_nid, 0, undefined, entries);
  return {
    nid,
    id,
    rules,
    localServer,
    committed: new RoomView(state, joined, invited),
    recent: { lastPosition: record.last_pos, between: () => undefined },
    missingPrevEvents: noGaps,
    dead: false,
  };
};

const noGaps: LiveRoom['missingPrevEvents'] = new Map();
