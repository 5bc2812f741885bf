import { Histogram, Registry } from 'prom-client';
import { httpMetrics } from './http-metrics.ts';

const linesOf = async (registry: Registry, name: string): Promise<string[]> =>
  (await registry.metrics()).split('\n').filter((line) => line.startsWith(name));

it('counts requests by operation and status, and those under way', async () => {
  const registry = new Registry();
  const metrics = httpMetrics(registry);
  for (let i = 0; i < 4; i++) metrics.started();
  metrics.finished('sync', 200, 30);
  metrics.finished('sync', 200, 30);
  metrics.finished('sync', 401, 1);
  // Reading does not count anything twice.
  await registry.metrics();
  expect(await linesOf(registry, 'parley_http_requests_total')).toEqual([
    'parley_http_requests_total{operation="sync",status="200"} 2',
    'parley_http_requests_total{operation="sync",status="401"} 1',
  ]);
  expect(await linesOf(registry, 'parley_http_requests_in_flight')).toEqual([
    'parley_http_requests_in_flight 1',
  ]);
});

it('gives durations as prom-client’s own histogram would', async () => {
  const registry = new Registry();
  const metrics = httpMetrics(registry);
  const other = new Registry();
  const histogram = new Histogram({
    name: 'parley_http_request_duration_seconds',
    help: 'Time from a request to its answer; long polls included.',
    labelNames: ['operation'] as const,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    registers: [other],
  });
  const durationsMs = [0, 0.5, 1, 1.01, 2.5, 700, 1_000, 29_999, 30_000, 45_000];
  for (const operation of ['sync', 'sendMessage']) {
    for (const durationMs of durationsMs) {
      metrics.finished(operation, 200, durationMs);
      histogram.observe({ operation }, durationMs / 1_000);
    }
  }
  const name = 'parley_http_request_duration_seconds';
  const lines = await linesOf(registry, name);
  expect(lines).toEqual(await linesOf(other, name));
  expect(lines).toHaveLength(2 * (13 + 3));
});
