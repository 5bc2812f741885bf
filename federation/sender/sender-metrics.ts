/** What is counted about handing events to the servers that are to get them. */
import { Histogram, type Registry } from 'prom-client';

export interface SenderMetrics {
  /** An event is in the queues of all its destinations, of which there is at least one. */
  enqueued(durationMs: number): void;
}

export const senderMetrics = (registry: Registry): SenderMetrics => {
  const enqueue = new Histogram({
    name: 'parley_federation_enqueue_seconds',
    help: 'Time to hand one event to the queues of all the servers it goes to.',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1],
    registers: [registry],
  });
  return { enqueued: (durationMs) => enqueue.observe(durationMs / 1_000) };
};
