import {
  closedLoop,
  inParallel,
  mergeRounds,
  percentile,
  ratePerSecond,
  summarise,
} from './measure.ts';

const oneTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('percentile', () => {
  it('is the smallest sample with that share of all at or below it', () => {
    expect(percentile(oneTo(100), 95)).toBe(95);
    expect(percentile(oneTo(20), 95)).toBe(19);
    expect(percentile(oneTo(21), 95)).toBe(20);
    expect(percentile([7], 50)).toBe(7);
    expect(percentile([1, 2], 50)).toBe(1);
    expect(percentile([1, 2], 100)).toBe(2);
  });

  it('refuses to make a figure out of no samples', () => {
    expect(() => percentile([], 50)).toThrow('no samples');
  });
});

describe('summarise', () => {
  it('sorts by value, not by text, and leaves the samples as they were', () => {
    const samples = [10, 9, 100, 1];
    expect(summarise(samples)).toEqual({ count: 4, p50: 9, p95: 100, p99: 100, max: 100 });
    expect(samples).toEqual([10, 9, 100, 1]);
  });
});

describe('closedLoop', () => {
  it('keeps one piece of work in flight for each worker and counts only the measured time', async () => {
    let inFlight = 0;
    let most = 0;
    let started = 0;
    const result = await closedLoop({
      workers: 3,
      warmUpSeconds: 0.1,
      seconds: 0.2,
      work: async () => {
        started += 1;
        inFlight += 1;
        most = Math.max(most, inFlight);
        await new Promise((resolve) => setTimeout(resolve, 10));
        inFlight -= 1;
      },
    });
    expect(most).toBe(3);
    expect(result.latenciesMs.length).toBeGreaterThan(0);
    expect(result.latenciesMs.length).toBeLessThan(started);
    expect(Math.min(...result.latenciesMs)).toBeGreaterThan(8);
    expect(ratePerSecond(result)).toBeCloseTo(result.latenciesMs.length / 0.2);
  });

  it('stops all workers and rejects when one fails', async () => {
    let calls = 0;
    const loop = closedLoop({
      workers: 2,
      warmUpSeconds: 0,
      seconds: 60,
      work: async (worker) => {
        calls += 1;
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (worker === 1 && calls > 4) throw new Error('refused');
      },
    });
    await expect(loop).rejects.toThrow('refused');
  });
});

describe('mergeRounds', () => {
  it('weighs the processor share by the length of each round', () => {
    const merged = mergeRounds([
      { latenciesMs: [1, 2], seconds: 1, loadCpuShare: 0.4 },
      { latenciesMs: [3], seconds: 3, loadCpuShare: 0.8 },
    ]);
    expect(merged.latenciesMs).toEqual([1, 2, 3]);
    expect(merged.seconds).toBe(4);
    expect(merged.loadCpuShare).toBeCloseTo(0.7);
  });
});

describe('inParallel', () => {
  it('keeps the order of the items whatever finishes first', async () => {
    const doubled = await inParallel([30, 1, 10], 2, async (delayMs, index) => {
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      return [delayMs * 2, index];
    });
    expect(doubled).toEqual([
      [60, 0],
      [2, 1],
      [20, 2],
    ]);
  });
});
