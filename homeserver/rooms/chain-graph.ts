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
  /** The places that link into each chain, by the `seq` they lead to: thousands rest on one event. */
  readonly #linksInto = new Map<number, Map<number, ChainPlace[]>>();
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
    let into = this.#linksInto.get(link.toChain);
    if (into === undefined) {
      into = new Map();
      this.#linksInto.set(link.toChain, into);
    }
    const from = { chain: fromChain, seq: link.fromSeq };
    const sources = into.get(link.toSeq);
    if (sources === undefined) into.set(link.toSeq, [from]);
    else sources.push(from);
  }

  isTip({ chain, seq }: ChainPlace): boolean {
    return this.#chains.get(chain)?.length === seq;
  }

  /** Everything at or below the given places, added to what is reached already. */
  reachFrom(starts: Iterable<ChainPlace>, reach: Reach = new Map()): Reach {
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
  authChainReach(nids: Iterable<number>, reach?: Reach): Reach | undefined {
    const starts: ChainPlace[] = [];
    for (const nid of nids) {
      const place = this.#places.get(nid);
      if (place === undefined) return undefined;
      if (place.seq > 1) starts.push({ chain: place.chain, seq: place.seq - 1 });
      for (const { fromSeq, toChain, toSeq } of this.#links.get(place.chain) ?? []) {
        if (fromSeq === place.seq) starts.push({ chain: toChain, seq: toSeq });
      }
    }
    return this.reachFrom(starts, reach);
  }

  /** Whether the event is in a reach; one without a place is in none. */
  reaches(reach: Reach, nid: number): boolean {
    const place = this.#places.get(nid);
    return place !== undefined && place.seq <= (reach.get(place.chain) ?? 0);
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

  /**
   * Those of the events that no start has in its auth chain. Looks upwards from the events, which
   * are few, rather than downwards from the starts, which may be a whole room's state.
   * @returns undefined when after `maxVisits` steps it is not known
   */
  inNoAuthChain(
    nids: Iterable<number>,
    isStart: (nid: number) => boolean,
    maxVisits: number,
  ): number[] | undefined {
    const byChain = new Map<number, number[]>();
    for (const nid of nids) {
      const { chain, seq } = this.#places.get(nid) as ChainPlace;
      const seqs = byChain.get(chain);
      if (seqs === undefined) byChain.set(chain, [seq]);
      else seqs.push(seq);
    }
    const found: number[] = [];
    let left = maxVisits;
    for (const [chain, seqs] of byChain) {
      // What has a later place of a chain in its auth chain has the earlier ones as well.
      for (const seq of seqs.sort((a, b) => b - a)) {
        const visits = this.#visitsToStart({ chain, seq }, isStart, left);
        if (visits === undefined) break;
        left -= visits;
        if (left <= 0) return undefined;
        found.push(this.#chains.get(chain)?.[seq - 1] as number);
      }
    }
    return found;
  }

  /** Undefined where a start has the place in its auth chain; otherwise the steps it took to see. */
  #visitsToStart(
    place: ChainPlace,
    isStart: (nid: number) => boolean,
    maxVisits: number,
  ): number | undefined {
    const lowest: Reach = new Map();
    const queue = [place];
    let visits = 0;
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const { chain, seq } = next;
      const known = lowest.get(chain) ?? Number.POSITIVE_INFINITY;
      if (seq >= known) continue;
      lowest.set(chain, seq);
      const chained = this.#chains.get(chain) ?? [];
      const end = Math.min(chained.length, known - 1);
      for (let at = next === place ? seq : seq - 1; at < end; at += 1) {
        if (isStart(chained[at] as number)) return undefined;
      }
      visits += 1 + Math.max(0, end - seq);
      if (visits > maxVisits) return visits;
      for (const source of this.#linksBetween(chain, seq, end)) {
        visits += 1;
        if (visits > maxVisits) return visits;
        if (isStart(this.#chains.get(source.chain)?.[source.seq - 1] as number)) return undefined;
        queue.push(source);
      }
    }
    return visits;
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
      const length = this.#chains.get(place.chain)?.length ?? 0;
      const end = Math.min(length, known - 1);
      for (const source of this.#linksBetween(place.chain, place.seq, end)) queue.push(source);
    }
    return lowest;
  }

  /** The places that link to one of a chain with `low <= seq <= high`. */
  *#linksBetween(chain: number, low: number, high: number): Iterable<ChainPlace> {
    const into = this.#linksInto.get(chain);
    if (into === undefined) return;
    for (let seq = low; seq <= high; seq += 1) yield* into.get(seq) ?? noPlaces;
  }
}

const noPlaces: readonly ChainPlace[] = [];
