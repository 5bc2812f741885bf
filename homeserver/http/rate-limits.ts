/**
 * Token buckets in memory, by limit name and key. A bucket refills steadily and holds at most its
 * burst; the number of buckets kept is bounded, and one that falls out starts full again.
 */
import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import { limitExceeded } from '../../spec/errors.ts';
import type { Clock } from '../clock.ts';

export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

/** `default` serves every name not listed. `ip` is the limit on all requests of one address. */
export type RateLimitTable = Readonly<Record<string, RateLimit>> & { readonly default: RateLimit };

/** What a route declares: which limit, and whose allowance is used. */
export interface RateLimitUse {
  readonly name: string;
  readonly scope: 'user' | 'ip';
}

/** One allowance for each account (for each address where nobody is authenticated). */
export const perUser = (name: string): RateLimitUse => ({ name, scope: 'user' });
export const perIp = (name: string): RateLimitUse => ({ name, scope: 'ip' });

interface Bucket {
  tokens: number;
  atMs: number;
}

const MAX_BUCKETS = 100_000;

/** An IPv6 network of one subscriber counts as one address: its first 64 bits. */
const addressKey = (ip: string): string => {
  if (!isIPv6(ip)) return ip;
  const [head = '', tail] = ip.split('::');
  const left = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const right = tail === '' ? [] : tail.split(':');
    while (left.length + right.length < 8) left.push('0');
    left.push(...right);
  }
  return left.slice(0, 4).join(':');
};

export class RateLimits {
  readonly #table: RateLimitTable;
  readonly #clock: Clock;
  readonly #buckets = new LRUCache<string, Bucket>({ max: MAX_BUCKETS });

  constructor(table: RateLimitTable, clock: Clock) {
    this.#table = table;
    this.#clock = clock;
  }

  /** Takes one from the allowance; throws `M_LIMIT_EXCEEDED` when there is none. */
  take(name: string, key: string): void {
    this.#available(name, key).tokens -= 1;
  }

  /** Throws `M_LIMIT_EXCEEDED` when nothing is left of the allowance, and takes nothing from it. */
  require(name: string, key: string): void {
    this.#available(name, key);
  }

  #available(name: string, key: string): Bucket {
    const { perSecond, burst } = this.#table[name] ?? this.#table.default;
    const bucketKey = `${name}\u0000${key}`;
    const nowMs = this.#clock.nowMs();
    let bucket = this.#buckets.get(bucketKey);
    if (bucket === undefined) {
      bucket = { tokens: burst, atMs: nowMs };
      this.#buckets.set(bucketKey, bucket);
    } else {
      const gained = (Math.max(0, nowMs - bucket.atMs) / 1_000) * perSecond;
      bucket.tokens = Math.min(burst, bucket.tokens + gained);
      bucket.atMs = nowMs;
    }
    if (bucket.tokens < 1) throw limitExceeded(((1 - bucket.tokens) / perSecond) * 1_000);
    return bucket;
  }

  takeForIp(name: string, ip: string): void {
    this.take(name, addressKey(ip));
  }
}
