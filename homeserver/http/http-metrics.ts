/**
 * What is counted about requests, by operation. Counted in plain numbers, which get their labels when
 * the metrics are read: working labels out at every request costs more than routing it.
 */
import { Counter, Gauge, type Metric, type Registry } from 'prom-client';

export interface HttpMetrics {
  started(): void;
  /** `operation` is an operationId, or `unknown` where no route was found. */
  finished(operation: string, status: number, durationMs: number): void;
}

const BUCKETS_SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30,
] as const;
const DURATION = 'parley_http_request_duration_seconds';

/** The requests of one operation since the start. */
class OperationCounts {
  readonly byStatus = new Map<number, number>();
  /** How many fell into each bucket and into none below it; the last is for all above. */
  readonly inBucket = new Array<number>(BUCKETS_SECONDS.length + 1).fill(0);
  count = 0;
  seconds = 0;

  add(status: number, seconds: number): void {
    this.byStatus.set(status, (this.byStatus.get(status) ?? 0) + 1);
    let bucket = 0;
    while (bucket < BUCKETS_SECONDS.length && seconds > (BUCKETS_SECONDS[bucket] as number)) {
      bucket += 1;
    }
    this.inBucket[bucket] = (this.inBucket[bucket] as number) + 1;
    this.count += 1;
    this.seconds += seconds;
  }
}

/** As prom-client's own histogram gives itself to the registry. */
const durationValues = (operation: string, { inBucket, count, seconds }: OperationCounts) => {
  let below = 0;
  const buckets = [...BUCKETS_SECONDS, '+Inf' as const].map((le, index) => {
    below += inBucket[index] as number;
    return { metricName: `${DURATION}_bucket`, labels: { le, operation }, value: below };
  });
  const labels = { operation };
  return [
    ...buckets,
    { metricName: `${DURATION}_sum`, labels, value: seconds },
    { metricName: `${DURATION}_count`, labels, value: count },
  ];
};

export const httpMetrics = (registry: Registry): HttpMetrics => {
  const operations = new Map<string, OperationCounts>();
  let running = 0;
  new Counter({
    name: 'parley_http_requests_total',
    help: 'Requests answered.',
    labelNames: ['operation', 'status'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const [operation, { byStatus }] of operations) {
        for (const [status, count] of byStatus) this.inc({ operation, status }, count);
      }
    },
  });
  const durations = {
    name: DURATION,
    get: async () => ({
      name: DURATION,
      help: 'Time from a request to its answer; long polls included.',
      type: 'histogram',
      aggregator: 'sum',
      values: [...operations].flatMap(([operation, counts]) => durationValues(operation, counts)),
    }),
  };
  // The registry asks a metric for no more than this.
  registry.registerMetric(durations as unknown as Metric);
  new Gauge({
    name: 'parley_http_requests_in_flight',
    help: 'Requests being served; long polls included.',
    registers: [registry],
    collect() {
      this.set(running);
    },
  });
  return {
    started: () => {
      running += 1;
    },
    finished: (operation, status, durationMs) => {
      running -= 1;
      let counts = operations.get(operation);
      if (counts === undefined) {
        counts = new OperationCounts();
        operations.set(operation, counts);
      }
      counts.add(status, durationMs / 1_000);
    },
  };
};
