/**
 * What working out states may cost that other servers bring about: an event of a few hundred bytes
 * can name prev events whose states are those of a large room. Each server's share comes back with
 * time; owned by this process, and nothing is lost with it.
 */
import { LRUCache } from 'lru-cache';
import type { ServerName } from '../../spec/identifiers.ts';

const maxServers = 10_000;

/** In entries of states and auth chains, all added up. */
export interface StateBudgetLimits {
  readonly atOnce: number;
  readonly perSecond: number;
}

/** Ten times a state of twenty thousand members. */
const usualLimits: StateBudgetLimits = { atOnce: 400_000, perSecond: 10_000 };

export class StateBudget {
  readonly #spent = new LRUCache<ServerName, { entries: number; atMs: number }>({
    max: maxServers,
  });

  readonly #limits: StateBudgetLimits;

  constructor(limits: StateBudgetLimits = usualLimits) {
    this.#limits = limits;
  }

  /** Whether the server may make more work now. */
  allows(server: ServerName): boolean {
    return this.#left(server) > 0;
  }

  spend(server: ServerName, entries: number): void {
    const left = this.#left(server) - entries;
    this.#spent.set(server, { entries: this.#limits.atOnce - left, atMs: performance.now() });
  }

  #left(server: ServerName): number {
    const spent = this.#spent.get(server);
    const { atOnce, perSecond } = this.#limits;
    if (spent === undefined) return atOnce;
    const back = ((performance.now() - spent.atMs) / 1000) * perSecond;
    return Math.min(atOnce, atOnce - spent.entries + back);
  }
}
