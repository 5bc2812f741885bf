/** Room states by id, through a bounded cache; loaded with one query for links and one for events. */
import { LRUCache } from 'lru-cache';
import { stateKeyOf } from '../../spec/event.ts';
import type { Db } from '../storage/database.ts';
import { type SnapshotRecord, snapshotChain, stateEventsByNid } from '../storage/snapshots.ts';
import { type Removed, type StateRef, StateSnapshot } from './state-snapshot.ts';

export interface SnapshotStoreOptions {
  /** Entries held by the cached snapshots, all added up. */
  readonly maxEntries?: number;
}

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
    if (nid === 0) return StateSnapshot.empty;
    const cached = this.#cache.get(nid);
    if (cached !== undefined) return cached;
    const links = await snapshotChain(this.#db, roomNid, nid);
    links.sort((a, b) => a.height - b.height);
    if (links.at(-1)?.snapshot_nid !== nid) throw new Error(`No state snapshot ${nid}`);
    const refs = await this.#refs(roomNid, links);
    let snapshot = StateSnapshot.empty;
    for (const link of links) {
      const known = this.#cache.get(link.snapshot_nid);
      snapshot = known ?? this.#link(link, snapshot, refs);
      this.remember(snapshot);
    }
    return snapshot;
  }

  #link(
    record: SnapshotRecord,
    parent: StateSnapshot,
    refs: ReadonlyMap<number, [ReturnType<typeof stateKeyOf>, StateRef]>,
  ): StateSnapshot {
    const delta = new Map<ReturnType<typeof stateKeyOf>, StateRef | Removed>();
    for (const signed of record.event_nids) {
      const entry = refs.get(Math.abs(signed));
      if (entry === undefined) throw new Error(`Snapshot refers to absent event ${signed}`);
      const [key, ref] = entry;
      delta.set(key, signed < 0 ? { removedNid: ref.nid } : ref);
    }
    return new StateSnapshot(record.snapshot_nid, record.height, parent, delta);
  }

  async #refs(
    roomNid: number,
    links: readonly SnapshotRecord[],
  ): Promise<Map<number, [ReturnType<typeof stateKeyOf>, StateRef]>> {
    const nids = new Set(links.flatMap(({ event_nids }) => event_nids.map(Math.abs)));
    const records = await stateEventsByNid(this.#db, roomNid, [...nids]);
    return new Map(
      records.map((record) => [
        record.event_nid,
        [
          stateKeyOf(record.type, record.state_key),
          {
            nid: record.event_nid,
            eventId: record.event_id,
            membership: record.membership ?? undefined,
          },
        ],
      ]),
    );
  }

  clear(): void {
    this.#cache.clear();
  }
}
