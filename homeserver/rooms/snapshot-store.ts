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

  /** @throws when the snapshot does not exist: ids come from rows that refer to it. */
  async load(roomNid: number, nid: number): Promise<StateSnapshot> {
    const cached = nid === 0 ? StateSnapshot.empty : this.#cache.get(nid);
    return cached ?? ((await this.loadMany(roomNid, [nid])).get(nid) as StateSnapshot);
  }

  /** Many states of one room, by id, with at most three queries. @throws like `load` */
  async loadMany(roomNid: number, nids: Iterable<number>): Promise<Map<number, StateSnapshot>> {
    // Held here as well: the cache may turn over meanwhile.
    const known = new Map<number, StateSnapshot>();
    const missing = new Set<number>();
    for (const nid of nids) this.#look(nid, known, missing);
    if (missing.size === 0) return known;
    const wanted = await this.#records(roomNid, missing);
    const below = new Set<number>();
    for (const { chain } of wanted.values()) {
      for (const nid of chain) if (!wanted.has(nid)) this.#look(nid, known, below);
    }
    const records = new Map([...wanted, ...(await this.#records(roomNid, below))]);
    const refs = await this.#refs(roomNid, records.values());
    const lowestFirst = [...records.values()].sort((a, b) => a.height - b.height);
    for (const record of lowestFirst) this.#link(record, known, refs);
    return known;
  }

  clear(): void {
    this.#cache.clear();
  }

  #look(nid: number, known: Map<number, StateSnapshot>, missing: Set<number>): void {
    const cached = nid === 0 ? StateSnapshot.empty : this.#cache.get(nid);
    if (cached === undefined) missing.add(nid);
    else known.set(nid, cached);
  }

  async #records(roomNid: number, nids: ReadonlySet<number>): Promise<Map<number, SnapshotRecord>> {
    if (nids.size === 0) return new Map();
    const list = [...nids];
    const rows = await snapshotsByNid(this.#db, Array(list.length).fill(roomNid), list);
    const records = new Map(rows.map((row) => [row.snapshot_nid, row]));
    for (const nid of list) if (!records.has(nid)) throw new Error(`No state snapshot ${nid}`);
    return records;
  }

  #link(record: SnapshotRecord, known: Map<number, StateSnapshot>, refs: Refs): void {
    const { snapshot_nid: nid, height, chain } = record;
    const delta = new Map<StateKey, StateRef | Removed>();
    for (const signed of record.event_nids) {
      const entry = refs.get(Math.abs(signed));
      if (entry === undefined) throw new Error(`Snapshot refers to absent event ${signed}`);
      const [key, ref] = entry;
      delta.set(key, signed < 0 ? { removedNid: ref.nid } : ref);
    }
    // A chain names the snapshot first and then what it builds on, nearest first.
    const parent = chain[1] === undefined ? StateSnapshot.empty : known.get(chain[1]);
    if (parent === undefined) throw new Error(`Snapshot ${nid} builds on nothing known`);
    const snapshot = new StateSnapshot(nid, height, parent, delta);
    known.set(nid, snapshot);
    this.remember(snapshot);
  }

  async #refs(roomNid: number, records: Iterable<SnapshotRecord>): Promise<Refs> {
    const nids = new Set<number>();
    for (const { event_nids } of records) for (const nid of event_nids) nids.add(Math.abs(nid));
    const list = [...nids];
    if (list.length === 0) return new Map();
    const rows = await stateEventsByNid(this.#db, Array(list.length).fill(roomNid), list);
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
