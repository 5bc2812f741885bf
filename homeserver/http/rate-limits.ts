/**
 * Token buckets in memory, by limit name and key. A bucket refills steadily and holds at most its
 * burst; the number of buckets kept is bounded, and one that falls out starts full again. Of
 * several processes each admits at once and tells the others soon after: what all have admitted
 * together in that moment beyond the limit is owed, and is missing from what they admit next.
 */
import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';
import { limitExceeded } from '../../spec/errors.ts';
import type { Clock } from '../clock.ts';
import type { RateLimitName } from './rate-limit-names.ts';

export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

/**
 * `ip` is the limit on all requests of one address. A name left out has the numbers of `general`:
 * for tests; a configuration has them all.
 */
export type RateLimitTable = Readonly<Partial<Record<RateLimitName, RateLimit>>> & {
  readonly general: RateLimit;
};

/** What a route declares: which limit and whose allowance is used, or why there is none. */
export type RateLimitUse =
  | { readonly name: RateLimitName; readonly scope: 'user' | 'ip' }
  | { readonly exempt: string };

/** One allowance for each account (for each address where nobody is authenticated). */
export const perUser = (name: RateLimitName): RateLimitUse => ({ name, scope: 'user' });
export const perIp = (name: RateLimitName): RateLimitUse => ({ name, scope: 'ip' });
/** No limit besides that on all requests of an address. */
export const exempt = (reason: string): RateLimitUse => ({ exempt: reason });

interface Bucket {
  tokens: number;
  atMs: number;
}

/** What was taken of a bucket. */
export type UsedAllowance = readonly [name: RateLimitName, key: string, cost: number];

const MAX_BUCKETS = 100_000;
/** Others are told this soon, or once there is so much to tell. */
const TELL_AFTER_MS = 50;
const MAX_UNTOLD = 1_000;

/** An IPv6 network of one subscriber counts as one address: its first 64 bits. */
export const addressKey = (ip: string): string => {
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
  readonly #buckets: LRUCache<string, Bucket>;
  #tell: ((used: readonly UsedAllowance[]) => void) | undefined;
  #untold: UsedAllowance[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** How many times each has refused somebody. */
  readonly refusals = new Map<RateLimitName, number>();

  constructor(table: RateLimitTable, clock: Clock, maxBuckets = MAX_BUCKETS) {
    this.#table = table;
    this.#clock = clock;
    this.#buckets = new LRUCache<string, Bucket>({ max: maxBuckets });
  }

  /** How many buckets are in memory. */
  get size(): number {
    return this.#buckets.size;
  }

  /** From now on `tell` hears, in batches, of what is taken here. */
  share(tell: (used: readonly UsedAllowance[]) => void): void {
    this.#tell = tell;
  }

  /** What other processes have admitted. */
  usedElsewhere(used: readonly UsedAllowance[]): void {
    for (const [name, key, cost] of used) this.#spend(name, key, cost);
  }

  /** Tells what has not been told. Runs by itself. */
  tellUsed(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const untold = this.#untold;
    this.#untold = [];
    if (untold.length > 0) this.#tell?.(untold);
  }

  /**
   * Takes `cost` from the allowance; throws `M_LIMIT_EXCEEDED` and takes nothing when less than one
   * is left. What costs more than is left passes and is owed, so that whatever may be asked at all
   * can be asked after a pause, however small the burst.
   */
  take(name: RateLimitName, key: string, cost = 1): void {
    const limit = this.#limit(name);
    const bucket = this.#bucket(name, key, limit);
    if (bucket.tokens < 1) {
      this.refusals.set(name, (this.refusals.get(name) ?? 0) + 1);
      throw limitExceeded(waitMs(bucket, limit));
    }
    bucket.tokens -= cost;
    this.#used(name, key, cost);
  }

  /** Takes besides what {@link take} has taken: what a request turned out to cost. Never throws. */
  takeMore(name: RateLimitName, key: string, cost: number): void {
    this.#spend(name, key, cost);
    this.#used(name, key, cost);
  }

  /** Puts back one that was taken for something that is not to count. */
  giveBack(name: RateLimitName, key: string): void {
    this.#spend(name, key, -1);
    this.#used(name, key, -1);
  }

  /** How long until there is one to take; 0 when there is now. */
  waitMs(name: RateLimitName, key: string): number {
    const limit = this.#limit(name);
    const bucket = this.#bucket(name, key, limit);
    return bucket.tokens < 1 ? waitMs(bucket, limit) : 0;
  }

  takeForIp(name: RateLimitName, ip: string): void {
    this.take(name, addressKey(ip));
  }

  #spend(name: RateLimitName, key: string, cost: number): void {
    const limit = this.#limit(name);
    const bucket = this.#bucket(name, key, limit);
    bucket.tokens = Math.min(limit.burst, bucket.tokens - cost);
  }

  #used(name: RateLimitName, key: string, cost: number): void {
    if (this.#tell === undefined) return;
    this.#untold.push([name, key, cost]);
    if (this.#untold.length >= MAX_UNTOLD) this.tellUsed();
    else this.#timer ??= setTimeout(() => this.tellUsed(), TELL_AFTER_MS).unref();
  }

  #limit(name: RateLimitName): RateLimit {
    return this.#table[name] ?? this.#table.general;
  }

  #bucket(name: RateLimitName, key: string, { perSecond, burst }: RateLimit): Bucket {
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
    return bucket;
  }
}

const waitMs = ({ tokens }: Bucket, { perSecond }: RateLimit): number =>
  ((1 - tokens) / perSecond) * 1_000;
