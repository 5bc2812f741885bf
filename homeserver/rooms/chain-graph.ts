/**
 * A chain cover of one room's auth graph. Every state event has a place `(chain, seq)`; in a chain
 * each event has the one before it among its auth events, and links lead from a place to another
 * chain. So what an event reaches is, for each chain, everything up to some `seq`, and sets that
 * would take a walk over the whole graph are comparisons of a few numbers.
 *
 * The idea is that of "A Simple and Efficient Chain-Cover Approach" as used for Matrix auth chains.
 */

export interface ChainPlace {
  readonly chain: number;
  readonly seq: number;
}

interface ChainLink {
  readonly fromSeq: number;
  readonly toChain: number;
  readonly toSeq: number;
}

/** The highest `seq` reached in each chain. */
export type Reach = Map<number, number>;

export class ChainGraph {
  readonly #places = new Map<number, ChainPlace>();
  /** The events of a chain; index 0 is `seq` 1. */
  readonly #chains = new Map<number, number[]>();
  readonly #links = new Map<number, ChainLink[]>();
  readonly #linksInto = new Map<number, { toSeq: number; fromChain: number; fromSeq: number }[]>();
  #linkCount = 0;

  get size(): number {
    return this.#places.size + this.#linkCount;
  }

  placeOf(nid: number): ChainPlace | undefined {
    return this.#places.get(nid);
  }

  addPlace(nid: number, place: ChainPlace): void {
    this.#places.set(nid, place);
    const chain = this.#chains.get(place.chain) ?? [];
    chain[place.seq - 1] = nid;
    this.#chains.set(place.chain, chain);
  }

  addLink(fromChain: number, link: ChainLink): void {
    this.#linkCount += 1;
    const links = this.#links.get(fromChain);
    if (links === undefined) this.#links.set(fromChain, [link]);
    else links.push(link);
    const entry = { toSeq: link.toSeq, fromChain, fromSeq: link.fromSeq };
    const into = this.#linksInto.get(link.toChain);
    if (into === undefined) this.#linksInto.set(link.toChain, [entry]);
    else into.push(entry);
  }

  isTip({ chain, seq }: ChainPlace): boolean {
    return this.#chains.get(chain)?.length === seq;
  }

  /** Everything at or below the given places. */
  reachFrom(starts: Iterable<ChainPlace>): Reach {
    const reach: Reach = new Map();
    const queue: ChainPlace[] = [...starts];
    for (let place = queue.pop(); place !== undefined; place = queue.pop()) {
      const reached = reach.get(place.chain) ?? 0;
      if (place.seq <= reached) continue;
      reach.set(place.chain, place.seq);
      for (const { fromSeq, toChain, toSeq } of this.#links.get(place.chain) ?? []) {
        // Links below what was reached before have been followed already.
        if (fromSeq > reached && fromSeq <= place.seq) queue.push({ chain: toChain, seq: toSeq });
      }
    }
    return reach;
  }

  /** The auth chains of these events: like `reachFrom`, without the events themselves. */
  authChainReach(nids: Iterable<number>): Reach | undefined {
    const starts: ChainPlace[] = [];
    for (const nid of nids) {
      const place = this.#places.get(nid);
      if (place === undefined) return undefined;
      if (place.seq > 1) starts.push({ chain: place.chain, seq: place.seq - 1 });
      for (const { fromSeq, toChain, toSeq } of this.#links.get(place.chain) ?? []) {
        if (fromSeq === place.seq) starts.push({ chain: toChain, seq: toSeq });
      }
    }
    return this.reachFrom(starts);
  }

  /** Events in some but not all of the reaches. */
  difference(reaches: readonly Reach[]): number[] {
    const chains = new Set(reaches.flatMap((reach) => [...reach.keys()]));
    const nids: number[] = [];
    for (const chain of chains) {
      const seqs = reaches.map((reach) => reach.get(chain) ?? 0);
      const chained = this.#chains.get(chain) ?? [];
      // A chain may be longer than a call may have arguments.
      for (const nid of chained.slice(Math.min(...seqs), Math.max(...seqs))) nids.push(nid);
    }
    return nids;
  }

  /** Events on a path from one of the given events to another, both included. */
  between(nids: Iterable<number>): number[] | undefined {
    const places: ChainPlace[] = [];
    for (const nid of nids) {
      const place = this.#places.get(nid);
      if (place === undefined) return undefined;
      places.push(place);
    }
    const reach = this.reachFrom(places);
    const lowest = this.#reachingFrom(places);
    const found: number[] = [];
    for (const [chain, highest] of reach) {
      const low = lowest.get(chain);
      if (low === undefined || low > highest) continue;
      for (const nid of (this.#chains.get(chain) ?? []).slice(low - 1, highest)) found.push(nid);
    }
    return found;
  }

  /** For each chain, the lowest `seq` from which one of the places can be reached. */
  #reachingFrom(places: Iterable<ChainPlace>): Reach {
    const lowest: Reach = new Map();
    const queue = [...places];
    for (let place = queue.pop(); place !== undefined; place = queue.pop()) {
      const known = lowest.get(place.chain) ?? Number.POSITIVE_INFINITY;
      if (place.seq >= known) continue;
      lowest.set(place.chain, place.seq);
      for (const { toSeq, fromChain, fromSeq } of this.#linksInto.get(place.chain) ?? []) {
        if (toSeq >= place.seq && toSeq < known) queue.push({ chain: fromChain, seq: fromSeq });
      }
    }
    return lowest;
  }
}
