import { turns } from './turns.ts';

/** Holds the event loop. */
const work = (durationMs: number): void => {
  const untilMs = performance.now() + durationMs;
  while (performance.now() < untilMs);
};

describe('turns', () => {
  it('lets short work go on and cuts long work', async () => {
    const giveWay = turns();
    expect(giveWay()).toBeUndefined();
    work(10);
    let othersRan = false;
    setImmediate(() => {
      othersRan = true;
    });
    await giveWay();
    expect(othersRan).toBe(true);
    expect(giveWay()).toBeUndefined();
  });

  it('shares a turn among many workers, however many wait', async () => {
    const giveWay = turns();
    const stepMs = 5;
    let heldMs = 0;
    let longestMs = 0;
    let isDone = false;
    const others = (async () => {
      while (!isDone) {
        await new Promise((resolve) => setImmediate(resolve));
        longestMs = Math.max(longestMs, heldMs);
        heldMs = 0;
      }
    })();
    work(10);
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        await giveWay();
        work(stepMs);
        heldMs += stepMs;
      }),
    );
    isDone = true;
    await others;
    // Ten steps together are 50 ms; a turn ends with the step that exceeds it.
    expect(longestMs).toBeGreaterThan(0);
    expect(longestMs).toBeLessThanOrEqual(3 * stepMs);
  });
});
