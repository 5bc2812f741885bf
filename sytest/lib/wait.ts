/** Waiting for something to become true, with an end. */

import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Tries until `attempt` gives something other than `undefined` and gives that
 * back. A throwing attempt counts as "not yet"; its error is told when time is up.
 */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined> | T | undefined,
  { timeoutMs = 10_000, pauseMs = 50 } = {},
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const found = await attempt();
      if (found !== undefined) return found;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (Date.now() >= deadlineMs) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: lastError });
    }
    await sleep(pauseMs);
  }
}
