import { Registry } from 'prom-client';
import { senderMetrics } from './sender-metrics.ts';

it('counts in seconds what is told in milliseconds', async () => {
  const registry = new Registry();
  const metrics = senderMetrics(registry);
  metrics.enqueued(0.3);
  metrics.enqueued(7);
  const text = await registry.metrics();
  expect(text).toContain('parley_federation_enqueue_seconds_bucket{le="0.00025"} 0\n');
  expect(text).toContain('parley_federation_enqueue_seconds_bucket{le="0.0005"} 1\n');
  expect(text).toContain('parley_federation_enqueue_seconds_bucket{le="0.01"} 2\n');
});
