/** The chain covers of the rooms being written or resolved: loaded when needed, and kept in step. */
import { LRUCache } from 'lru-cache';
import type { EventId } from '../../spec/identifiers.ts';
import { LoadingCache } from '../loading-cache.ts';
import { chainLinks, chainPlaces } from '../storage/auth-chains.ts';
import type { Db } from '../storage/database.ts';
import type { RoomWrite } from '../storage/event-section.ts';
import type { IdAllocator } from '../storage/id-allocator.ts';
import { ChainGraph, type ChainPlace } from './chain-graph.ts';
import type { EventStore } from './event-store.ts';
import { inAuthOrder } from './reference-order.ts';
import type { StoredEvent } from './stored-event.ts';

export interface NewPlaces {
  readonly places: RoomWrite['chainPlaces'];
  readonly links: RoomWrite['chainLinks'];
}

export class AuthChains {
  readonly #db: Db;
  readonly #ids: IdAllocator;
  readonly #events: EventStore;
  /** Loaded once, however many want it: places given in one copy would be missing in another. */
  readonly #graphs: LoadingCache<number, ChainGraph>;

  constructor(db: Db, ids: IdAllocator, events: EventStore, maxEntries = 1_000_000) {
    this.#db = db;
    this.#ids = ids;
    this.#events = events;
    const kept = new LRUCache<number, ChainGraph>({
      maxSize: maxEntries,
      sizeCalculation: (graph) => 1 + graph.size,
    });
    this.#graphs = new LoadingCache(kept, (roomNid) => this.#load(roomNid));
  }

  /** A room that is being made has no graph to load. */
  begin(roomNid: number): void {
    this.#graphs.set(roomNid, new ChainGraph());
  }

  async graphOf(roomNid: number): Promise<ChainGraph> {
    return this.#graphs.get(roomNid);
  }

  async #load(roomNid: number): Promise<ChainGraph> {
    const graph = new ChainGraph();
    for (const place of await chainPlaces(this.#db, roomNid)) {
      const { event_nid: nid, chain_nid: chain, seq, to_chain_nid: toChain, to_seq: toSeq } = place;
      graph.addPlace(nid, { chain, seq });
      if (toChain !== null && toSeq !== null)
        graph.addLink(chain, { fromSeq: seq, toChain, toSeq });
    }
    for (const link of await chainLinks(this.#db, roomNid)) {
      graph.addLink(link.from_chain_nid, {
        fromSeq: link.from_seq,
        toChain: link.to_chain_nid,
        toSeq: link.to_seq,
      });
    }
    return graph;
  }

  /** The room's memory may be ahead of the database: it is loaded anew when next needed. */
  drop(roomNid: number): void {
    this.#graphs.forget(roomNid);
  }

  clear(): void {
    this.#graphs.clear();
  }

  /**
   * Gives places to state events, in any order. An event whose auth events have no places gets none
   * itself; whoever compares chains then has to walk. The caller writes the rows.
   */
  async place(roomNid: number, events: readonly StoredEvent[]): Promise<NewPlaces> {
    const graph = await this.graphOf(roomNid);
    const wanted = events.filter(({ nid }) => graph.placeOf(nid) === undefined);
    await this.#ids.reserve(wanted.length + 1);
    const nidById = await this.#nids(roomNid, wanted);
    const result: NewPlaces = { places: [], links: [] };
    const byId = new Map(wanted.map((stored) => [stored.event.eventId, stored]));
    for (const { eventId } of inAuthOrder(wanted.map(({ event }) => event))) {
      const stored = byId.get(eventId) as StoredEvent;
      // Someone else may have placed it while this waited.
      if (graph.placeOf(stored.nid) !== undefined) continue;
      const authPlaces: ChainPlace[] = [];
      for (const id of stored.event.authEventIds) {
        const place = graph.placeOf(nidById.get(id) ?? 0);
        if (place !== undefined) authPlaces.push(place);
      }
      if (authPlaces.length === stored.event.authEventIds.length) {
        this.#placeOne(graph, stored.nid, authPlaces, result);
      }
    }
    return result;
  }

  #placeOne(
    graph: ChainGraph,
    nid: number,
    authPlaces: readonly ChainPlace[],
    result: NewPlaces,
  ): void {
    // Extending the longest chain keeps chains few.
    let tip: ChainPlace | undefined;
    for (const place of authPlaces) {
      if (graph.isTip(place) && place.seq > (tip?.seq ?? 0)) tip = place;
    }
    const place = { chain: tip?.chain ?? this.#ids.next(), seq: (tip?.seq ?? 0) + 1 };
    graph.addPlace(nid, place);
    result.places.push({ eventNid: nid, chainNid: place.chain, seq: place.seq });
    const reached = graph.reachFrom([place]);
    // Highest first: a link to a later place of a chain makes one to an earlier place needless.
    for (const auth of [...authPlaces].sort((a, b) => b.seq - a.seq)) {
      if ((reached.get(auth.chain) ?? 0) >= auth.seq) continue;
      graph.addLink(place.chain, {
        fromSeq: place.seq,
        toChain: auth.chain,
        toSeq: auth.seq,
      });
      for (const [chain, seq] of graph.reachFrom([auth])) {
        reached.set(chain, Math.max(seq, reached.get(chain) ?? 0));
      }
      result.links.push({
        fromChain: place.chain,
        fromSeq: place.seq,
        toChain: auth.chain,
        toSeq: auth.seq,
      });
    }
  }

  async #nids(roomNid: number, events: readonly StoredEvent[]): Promise<Map<EventId, number>> {
    const nids = new Map(events.map(({ event, nid }) => [event.eventId, nid]));
    const others = new Set(events.flatMap(({ event }) => event.authEventIds));
    for (const id of nids.keys()) others.delete(id);
    for (const [id, { nid }] of await this.#events.manyInRoom(roomNid, others)) nids.set(id, nid);
    return nids;
  }
}
