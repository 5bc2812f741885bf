/**
 * The `.well-known` documents by which servers delegate, with their caching rules.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names, step 3
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../homeserver/clock.ts';
import { OutboundFailure, RetryableFailure } from '../../homeserver/outbound/failures.ts';
import { type FetchedResponse, fetchUrl } from '../../homeserver/outbound/fetch-url.ts';
import type { OutboundHttp } from '../../homeserver/outbound/outbound-http.ts';
import { parseServerName } from '../../spec/identifiers.ts';

export interface WellKnownOptions {
  readonly outbound: OutboundHttp;
  readonly clock: Clock;
  /** Where `.well-known` is served; anything but 443 only in tests. */
  readonly port?: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DEFAULT_LIFETIME_MS = 24 * HOUR_MS;
const MAX_LIFETIME_MS = 48 * HOUR_MS;
/** Answers that forbid caching are kept this long all the same. */
const MIN_LIFETIME_MS = 5 * MINUTE_MS;
const FIRST_ERROR_LIFETIME_MS = 5 * MINUTE_MS;
const MAX_ERROR_LIFETIME_MS = HOUR_MS;

const MAX_CACHED = 20_000;
const MAX_BYTES = 50 * 1024;
const MAX_REDIRECTS = 5;
const TIMEOUT_MS = 15_000;

interface Entry {
  /** The delegated server name; `undefined` where there is no valid one. */
  delegated: string | undefined;
  expiresAtMs: number;
  /** Until then `delegated` is preferred to a failure to fetch it anew. */
  usableUntilMs: number;
  failures: number;
  pending: Promise<string | undefined> | undefined;
}

export class WellKnown {
  readonly #outbound: OutboundHttp;
  readonly #clock: Clock;
  readonly #authority: string;
  readonly #entries = new LRUCache<string, Entry>({ max: MAX_CACHED });

  constructor({ outbound, clock, port = 443 }: WellKnownOptions) {
    this.#outbound = outbound;
    this.#clock = clock;
    this.#authority = port === 443 ? '' : `:${port}`;
  }

  /** What `m.server` says for a hostname; `undefined` where it says nothing valid. Never fails. */
  delegatedName(hostname: string): Promise<string | undefined> {
    const key = hostname.toLowerCase();
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = {
        delegated: undefined,
        expiresAtMs: Number.NEGATIVE_INFINITY,
        usableUntilMs: Number.NEGATIVE_INFINITY,
        failures: 0,
        pending: undefined,
      };
      this.#entries.set(key, entry);
    }
    if (entry.pending !== undefined) return entry.pending;
    if (this.#clock.nowMs() < entry.expiresAtMs) return Promise.resolve(entry.delegated);
    const settled = entry;
    entry.pending = this.#refresh(key, entry).finally(() => {
      settled.pending = undefined;
    });
    return entry.pending;
  }

  async #refresh(hostname: string, entry: Entry): Promise<string | undefined> {
    const url = `https://${hostname}${this.#authority}/.well-known/matrix/server`;
    const found = await fetchUrl(this.#outbound, url, {
      maxBytes: MAX_BYTES,
      timeoutMs: TIMEOUT_MS,
      maxRedirects: MAX_REDIRECTS,
      headers: { accept: 'application/json' },
    }).catch((error: unknown) => {
      if (error instanceof OutboundFailure) return error;
      throw error;
    });
    const nowMs = this.#clock.nowMs();
    const delegated = found instanceof OutboundFailure ? undefined : delegatedIn(found);
    if (!(found instanceof OutboundFailure) && delegated !== undefined) {
      entry.delegated = delegated;
      entry.failures = 0;
      entry.expiresAtMs = nowMs + lifetimeMs(found, nowMs);
      entry.usableUntilMs = nowMs + MAX_LIFETIME_MS;
    } else {
      // A server in trouble has not taken its delegation back; one that answers otherwise has.
      const inTrouble =
        found instanceof OutboundFailure
          ? found instanceof RetryableFailure
          : found.status >= 500 || found.status === 429;
      if (!inTrouble || nowMs >= entry.usableUntilMs) entry.delegated = undefined;
      const backOffMs = FIRST_ERROR_LIFETIME_MS * 2 ** Math.min(entry.failures, 10);
      entry.failures++;
      entry.expiresAtMs = nowMs + Math.min(backOffMs, MAX_ERROR_LIFETIME_MS);
    }
    return entry.delegated;
  }
}

const delegatedIn = ({ status, body }: FetchedResponse): string | undefined => {
  if (status !== 200) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const name = (parsed as Record<string, unknown>)['m.server'];
  return typeof name === 'string' && parseServerName(name) !== undefined ? name : undefined;
};

/** https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2, as far as it concerns a private cache. */
const lifetimeMs = ({ headers }: FetchedResponse, nowMs: number): number => {
  const control = (headers['cache-control'] ?? '').toLowerCase();
  const maxAge = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,10})/.exec(control)?.[1];
  let wantedMs = DEFAULT_LIFETIME_MS;
  if (/(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])/.test(control)) wantedMs = 0;
  else if (maxAge !== undefined) wantedMs = Number(maxAge) * 1000;
  else if (headers.expires !== undefined) {
    // An unreadable date means "already expired".
    const expires = Date.parse(headers.expires);
    wantedMs = Number.isNaN(expires) ? 0 : expires - nowMs;
  }
  return Math.min(Math.max(wantedMs, MIN_LIFETIME_MS), MAX_LIFETIME_MS);
};
