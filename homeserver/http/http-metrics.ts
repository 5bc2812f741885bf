/** What is counted about requests, by operation. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface HttpMetrics {
  started(): void;
  /** `operation` is an operationId, or `unknown` where no route was found. */
  finished(operation: string, status: number, durationMs: number): void;
}

export const httpMetrics = (registry: Registry): HttpMetrics => {
  const requests = new Counter({
    name: 'parley_http_requests_total',
    help: 'Requests answered.',
    labelNames: ['operation', 'status'] as const,
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'parley_http_request_duration_seconds',
    help: 'Time from a request to its answer; long polls included.',
    labelNames: ['operation'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers: [registry],
  });
  const inFlight = new Gauge({
    name: 'parley_http_requests_in_flight',
    help: 'Requests being served; long polls included.',
    registers: [registry],
  });
  return {
    started: () => inFlight.inc(),
    finished: (operation, status, durationMs) => {
      inFlight.dec();
      requests.inc({ operation, status });
      durations.observe({ operation }, durationMs / 1_000);
    },
  };
};
