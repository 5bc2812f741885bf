/** What is counted about outbound requests, by what they are for and how they ended. */
import { Counter, Histogram, type Registry } from 'prom-client';

export type ObserveOutbound = (outcome: string, durationMs: number) => void;

export interface OutboundMetrics {
  /** `purpose` is one of a few words: `federation`, `push`. */
  for(purpose: string): ObserveOutbound;
}

export const outboundMetrics = (registry: Registry): OutboundMetrics => {
  const requests = new Counter({
    name: 'parley_outbound_requests_total',
    help: 'Requests to other machines: answered (ok, whatever the status), or why they failed.',
    labelNames: ['purpose', 'outcome'] as const,
    registers: [registry],
  });
  const durations = new Histogram({
    name: 'parley_outbound_request_duration_seconds',
    help: 'Time from a request to the end of its answer or its failure.',
    labelNames: ['purpose'] as const,
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 120],
    registers: [registry],
  });
  return {
    for: (purpose) => (outcome, durationMs) => {
      requests.inc({ purpose, outcome });
      durations.observe({ purpose }, durationMs / 1_000);
    },
  };
};
