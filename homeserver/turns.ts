/** Long work on the event loop, cut so that everyone else's gets its turn. */

/** How long the event loop may be held before others get their turn. */
const TURN_MS = 8;

/**
 * To be awaited between the steps of long work: gives way to whatever else waits, once in a while.
 * What the work builds on may have changed then.
 */
export const turns = (): (() => Promise<void> | undefined) => {
  let startedMs = performance.now();
  return () => {
    if (performance.now() - startedMs < TURN_MS) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        startedMs = performance.now();
        resolve();
      });
    });
  };
};
