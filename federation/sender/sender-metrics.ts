/** What is counted about handing events to the servers that are to get them. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface SenderMetrics {
  /** An event is in the queues of all its destinations, of which there is at least one. */
  enqueued(durationMs: number): void;
  /** A server refuses something for good and will not get it. */
  setAside(kind: 'pdu' | 'edu'): void;
  /** Asked when the metrics are read. */
  watchDestinations(health: { readonly failingCount: number }): void;
}

export const senderMetrics = (registry: Registry): SenderMetrics => {
  const enqueue = new Histogram({
    name: 'parley_federation_enqueue_seconds',
    help: 'Time to hand one event to the queues of all the servers it goes to.',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1],
    registers: [registry],
  });
  const aside = new Counter({
    name: 'parley_federation_set_aside_total',
    help: 'Events (pdu) and EDUs that some server refused and was not sent again.',
    labelNames: ['kind'],
    registers: [registry],
  });
  return {
    enqueued: (durationMs) => enqueue.observe(durationMs / 1_000),
    setAside: (kind) => aside.inc({ kind }),
    watchDestinations: (health) => {
      new Gauge({
        name: 'parley_federation_failing_destinations',
        help: 'Servers with something to be delivered that did not answer when last tried.',
        registers: [registry],
        collect() {
          this.set(health.failingCount);
        },
      });
    },
  };
};
