/**
 * How often a server is asked for its keys. Anyone can make us want a key that does not exist, by
 * naming it in a signature; without this they could aim us at somebody else's server.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../homeserver/clock.ts';

interface Allowance {
  tokens: number;
  atMs: number;
  failures: number;
  retryAtMs: number;
}

const BURST = 10;
const REFILL_MS = 30_000;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60 * 60_000;
const MAX_REMEMBERED = 20_000;

export class FetchGate {
  readonly #clock: Clock;
  readonly #allowances = new LRUCache<string, Allowance>({ max: MAX_REMEMBERED });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the server may be asked now; if so, one of its allowance is used up. */
  take(serverName: string): boolean {
    const nowMs = this.#clock.nowMs();
    let allowance = this.#allowances.get(serverName);
    if (allowance === undefined) {
      allowance = { tokens: BURST, atMs: nowMs, failures: 0, retryAtMs: 0 };
      this.#allowances.set(serverName, allowance);
    }
    const gained = (nowMs - allowance.atMs) / REFILL_MS;
    allowance.tokens = Math.min(BURST, allowance.tokens + gained);
    allowance.atMs = nowMs;
    if (nowMs < allowance.retryAtMs || allowance.tokens < 1) return false;
    allowance.tokens -= 1;
    return true;
  }

  succeeded(serverName: string): void {
    const allowance = this.#allowances.get(serverName);
    if (allowance !== undefined) allowance.failures = 0;
  }

  failed(serverName: string): void {
    const allowance = this.#allowances.get(serverName);
    if (allowance === undefined) return;
    allowance.failures++;
    // Failing once may be chance; who asks next may want another key and is not made to wait.
    if (allowance.failures === 1) return;
    const delayMs = Math.min(
      MAX_RETRY_MS,
      FIRST_RETRY_MS * 2 ** Math.min(allowance.failures - 2, 30),
    );
    allowance.retryAtMs = this.#clock.nowMs() + delayMs;
  }
}
