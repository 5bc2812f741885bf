import { Counter, Histogram } from 'prom-client';
import { noCounts } from '../cluster/counts.ts';
import { machineMetrics, type ObservedCluster, registerClusterMetrics } from './cluster-metrics.ts';
import { createMetricsRegistry } from './metrics.ts';

const quiet: ObservedCluster = {
  role: 'member',
  epoch: 7,
  memberCount: 3,
  counts: { ...noCounts(), calls: 5, lostCalls: 1 },
  onPartAgain: (listener) => listener(0.4),
  answerNeighbours: () => undefined,
  askNeighbours: async () => [],
};

describe('the figures of several processes', () => {
  it('are one answer, each with its process, what has one name in one place', async () => {
    const registries = ['1', '2'].map((process) => {
      const registry = createMetricsRegistry({ processMetrics: false, process });
      const counter = new Counter({
        name: 'sends_total',
        help: 'Sends.',
        labelNames: ['kind'],
        registers: [registry],
      });
      counter.inc({ kind: 'a' }, Number(process));
      const seconds = new Histogram({
        name: 'seconds',
        help: 'S.',
        buckets: [1],
        registers: [registry],
      });
      seconds.observe(0.5);
      return registry;
    });
    const [first, second] = registries as [(typeof registries)[0], (typeof registries)[0]];
    const theirs = await second?.metrics();
    const tell = machineMetrics(first as never, {
      ...quiet,
      // The third has not answered, and the fourth had too much to tell.
      askNeighbours: async () => [theirs, undefined, null],
    });
    const lines = (await tell()).split('\n');
    expect(lines.filter((line) => line.includes('sends_total'))).toEqual([
      '# HELP sends_total Sends.',
      '# TYPE sends_total counter',
      'sends_total{kind="a",process="1"} 1',
      'sends_total{kind="a",process="2"} 2',
    ]);
    expect(lines.filter((line) => line.startsWith('# TYPE seconds'))).toHaveLength(1);
    expect(lines).toContain('seconds_bucket{le="+Inf",process="2"} 1');
    expect(lines).toContain('parley_metrics_unanswered_total{process="1"} 2');
  });

  it('tell what a process is among the others', async () => {
    const registry = createMetricsRegistry({ processMetrics: false });
    registerClusterMetrics(registry, quiet);
    const text = await registry.metrics();
    expect(text).toContain('parley_cluster_role{role="member"} 1');
    expect(text).toContain('parley_cluster_role{role="leader"} 0');
    expect(text).toContain('parley_cluster_epoch 7');
    expect(text).toContain('parley_cluster_lost_calls_total 1');
    expect(text).toContain('parley_cluster_seeking_seconds_bucket{le="0.5"} 1');
  });
});
