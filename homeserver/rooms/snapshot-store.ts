/**
 * Room states by id, through a bounded cache. States of one room share most of their links: what is
 * read from the database is the links that are not in memory, and the events that only these hold.
 */
import { LRUCache } from 'lru-cache';
import { type StateKey, stateKeyOf } from '../../spec/event.ts';
import type { Db } from '../storage/database.ts';
import { type SnapshotRecord, snapshotsByNid, stateEventsByNid } from '../storage/snapshots.ts';
import { type Removed, type StateRef, StateSnapshot } from './state-snapshot.ts';

export interface SnapshotStoreOptions {
  /** Entries held by the cached snapshots, all added up. */
  readonly maxEntries?: number;
}

export interface StateId {
  readonly roomNid: number;
  readonly nid: number;
}

/** Rooms by the nid of something in them: no two rooms share one. */
type RoomOfNid = Map<number, number>;

/** By event nid. */
type Refs = ReadonlyMap<number, readonly [StateKey, StateRef]>;

export class SnapshotStore {
  readonly #db: Db;
  readonly #cache: LRUCache<number, StateSnapshot>;

  constructor(db: Db, { maxEntries = 200_000 }: SnapshotStoreOptions = {}) {
    this.#db = db;
    this.#cache = new LRUCache({
      maxSize: maxEntries,
      sizeCalculation: (snapshot) => 1 + snapshot.delta.size,
    });
  }

  remember(snapshot: StateSnapshot): void {
    if (snapshot.nid !== 0) this.#cache.set(snapshot.nid, snapshot);
  }

  cached(nid: number): StateSnapshot | undefined {
    return this.#cache.get(nid);
  }

  /** @throws when the snapshot does not exist: ids come from rows that refer to it. */
  async load(roomNid: number, nid: number): Promise<StateSnapshot> {
    const cached = nid === 0 ? StateSnapshot.empty : this.#cache.get(nid);
    return cached ?? ((await this.loadMany(roomNid, [nid])).get(nid) as StateSnapshot);
  }

  /** Many states of one room, by id. @throws like `load` */
  loadMany(roomNid: number, nids: Iterable<number>): Promise<Map<number, StateSnapshot>> {
    return this.loadOfRooms([...nids].map((nid) => ({ roomNid, nid })));
  }

  /** Many states of any rooms, by id, with at most three queries. @throws like `load` */
  async loadOfRooms(states: Iterable<StateId>): Promise<Map<number, StateSnapshot>> {
    // Held here as well: the cache may turn over meanwhile.
    const known = new Map<number, StateSnapshot>();
    const missing: RoomOfNid = new Map();
    for (const { roomNid, nid } of states) this.#look(roomNid, nid, known, missing);
    if (missing.size === 0) return known;
    const wanted = await this.#records(missing);
    const below: RoomOfNid = new Map();
    for (const { room_nid: roomNid, below: links } of wanted.values()) {
      for (const nid of links) if (!wanted.has(nid)) this.#look(roomNid, nid, known, below);
    }
    const records = new Map([...wanted, ...(await this.#records(below))]);
    const refs = await this.#refs(records.values());
    const lowestFirst = [...records.values()].sort((a, b) => a.height - b.height);
    for (const record of lowestFirst) this.#link(record, known, refs);
    return known;
  }

  clear(): void {
    this.#cache.clear();
  }

  #look(roomNid: number, nid: number, known: Map<number, StateSnapshot>, missing: RoomOfNid): void {
    const cached = nid === 0 ? StateSnapshot.empty : this.#cache.get(nid);
    if (cached === undefined) missing.set(nid, roomNid);
    else known.set(nid, cached);
  }

  async #records(rooms: ReadonlyMap<number, number>): Promise<Map<number, SnapshotRecord>> {
    if (rooms.size === 0) return new Map();
    const nids = [...rooms.keys()];
    const rows = await snapshotsByNid(this.#db, [...rooms.values()], nids);
    const records = new Map(rows.map((row) => [row.snapshot_nid, row]));
    for (const nid of nids) if (!records.has(nid)) throw new Error(`No state snapshot ${nid}`);
    return records;
  }

  #link(record: SnapshotRecord, known: Map<number, StateSnapshot>, refs: Refs): void {
    const { snapshot_nid: nid, height, below } = record;
    const delta = new Map<StateKey, StateRef | Removed>();
    for (const signed of record.event_nids) {
      const entry = refs.get(Math.abs(signed));
      if (entry === undefined) throw new Error(`Snapshot refers to absent event ${signed}`);
      const [key, ref] = entry;
      delta.set(key, signed < 0 ? { removedNid: ref.nid } : ref);
    }
    const parent = below[0] === undefined ? StateSnapshot.empty : known.get(below[0]);
    if (parent === undefined) throw new Error(`Snapshot ${nid} builds on nothing known`);
    const snapshot = new StateSnapshot(nid, height, parent, delta);
    known.set(nid, snapshot);
    this.remember(snapshot);
  }

  async #refs(records: Iterable<SnapshotRecord>): Promise<Refs> {
    const rooms: RoomOfNid = new Map();
    for (const { room_nid: roomNid, event_nids } of records) {
      for (const nid of event_nids) rooms.set(Math.abs(nid), roomNid);
    }
    if (rooms.size === 0) return new Map();
    const rows = await stateEventsByNid(this.#db, [...rooms.values()], [...rooms.keys()]);
    return new Map(
      rows.map((row) => [
        row.event_nid,
        [
          stateKeyOf(row.type, row.state_key),
          {
            nid: row.event_nid,
            eventId: row.event_id,
            membership: row.membership ?? undefined,
          },
        ],
      ]),
    );
  }
}
