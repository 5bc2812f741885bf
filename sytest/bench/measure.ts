/** Timing: percentiles over samples, and the closed loop that produces them. */

/** Samples of one quantity, in the order they were taken. */
export interface Summary {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * The nearest-rank percentile: the smallest sample with at least `percent` of all samples at or
 * below it, so it is always a value that was measured. `sorted` ascends and is not empty.
 */
export const percentile = (sorted: ArrayLike<number>, percent: number): number => {
  const rank = Math.ceil((percent / 100) * sorted.length);
  const value = sorted[Math.max(rank, 1) - 1];
  if (value === undefined) throw new Error('no samples were taken');
  return value;
};

/** @throws when there are no samples: a figure out of nothing is no figure. */
export const summarise = (samples: readonly number[]): Summary => {
  const sorted = Float64Array.from(samples).sort();
  return {
    count: sorted.length,
    p50: percentile(sorted, 50),
    p95: percentile(sorted, 95),
    p99: percentile(sorted, 99),
    max: percentile(sorted, 100),
  };
};

export const median = (samples: readonly number[]): number => summarise(samples).p50;

export interface LoopResult {
  readonly latenciesMs: number[];
  readonly seconds: number;
  /** Processor time of the load program itself within the measured time, as a share of one core. */
  readonly loadCpuShare: number;
}

export interface Loop {
  /** Workers, each with one piece of work in flight. */
  readonly workers: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly work: (worker: number) => Promise<void>;
}

/**
 * Each worker starts its next piece of work as soon as its last is done. What completes during the
 * warm-up or after the end is not counted. Rejects with the first failure, when all have stopped.
 */
export const closedLoop = async (loop: Loop): Promise<LoopResult> => {
  const { workers, warmUpSeconds, seconds, work } = loop;
  const measureFromMs = performance.now() + warmUpSeconds * 1000;
  const endMs = measureFromMs + seconds * 1000;
  const latenciesMs: number[] = [];
  let cpuAtStart: NodeJS.CpuUsage | undefined;
  let failure: { error: unknown } | undefined;

  const runWorker = async (worker: number): Promise<void> => {
    let startedMs = performance.now();
    while (startedMs < endMs && failure === undefined) {
      await work(worker);
      const doneMs = performance.now();
      if (doneMs >= measureFromMs && doneMs <= endMs) {
        cpuAtStart ??= process.cpuUsage();
        latenciesMs.push(doneMs - startedMs);
      }
      startedMs = doneMs;
    }
  };
  await Promise.all(
    Array.from({ length: workers }, (_, worker) =>
      runWorker(worker).catch((error: unknown) => {
        failure ??= { error };
      }),
    ),
  );
  if (failure !== undefined) throw failure.error;
  const cpu = process.cpuUsage(cpuAtStart);
  return { latenciesMs, seconds, loadCpuShare: (cpu.user + cpu.system) / (seconds * 1e6) };
};

/** Results of rounds of the same loop as one. */
export const mergeRounds = (rounds: readonly LoopResult[]): LoopResult => {
  const seconds = rounds.reduce((sum, round) => sum + round.seconds, 0);
  const cpuSeconds = rounds.reduce((sum, round) => sum + round.loadCpuShare * round.seconds, 0);
  return {
    latenciesMs: rounds.flatMap((round) => round.latenciesMs),
    seconds,
    loadCpuShare: cpuSeconds / seconds,
  };
};

export const ratePerSecond = ({ latenciesMs, seconds }: LoopResult): number =>
  latenciesMs.length / seconds;

/** Runs `work` over all items, at most `concurrency` at a time; results in the items' order. */
export const inParallel = async <T, R>(
  items: readonly T[],
  concurrency: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> => {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await work(items[index] as T, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  return results;
};
