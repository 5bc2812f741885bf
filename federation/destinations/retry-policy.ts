/** When a server that failed is tried again: one policy for everything that talks to servers. */

export interface RetryPolicy {
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  firstDelayMs: 2000,
  maxDelayMs: 60 * 60_000,
};

/**
 * Doubles with every failure up to the most, then takes up to a fifth off, so that what broke
 * together is not retried together.
 * @param failureCount failures in a row, at least 1
 * @param fraction a random number from 0 to 1
 */
export const retryDelayMs = (
  { firstDelayMs, maxDelayMs }: RetryPolicy,
  failureCount: number,
  fraction: number,
): number => {
  const fullMs = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failureCount - 1, 40));
  return Math.round(fullMs * (1 - fraction / 5));
};
