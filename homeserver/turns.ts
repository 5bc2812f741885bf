/** Long work on the event loop, cut so that everyone else's gets its turn. */

/** How long the event loop may be held before others get their turn. */
const TURN_MS = 8;

/**
 * To be awaited between the steps of long work, by one worker or by many that share what is
 * returned: gives way to whatever else waits, once in a while. Of many workers, one goes on in each
 * round of the event loop. What the work builds on may have changed then.
 */
export const turns = (): (() => Promise<void> | undefined) => {
  let startedMs = performance.now();
  const waiting: (() => void)[] = [];
  const next = (): void => {
    startedMs = performance.now();
    waiting.shift()?.();
    if (waiting.length > 0) setImmediate(next);
  };
  return () => {
    if (waiting.length === 0 && performance.now() - startedMs < TURN_MS) return undefined;
    return new Promise((resolve) => {
      if (waiting.push(resolve) === 1) setImmediate(next);
    });
  };
};

/**
 * One turn for everything in this process that other servers and clients can ask for many times at
 * once and that takes milliseconds each: a hundred of them hold the event loop as long as one. It is
 * awaited as what {@link turns} returns.
 */
export const sharedTurn = turns();
