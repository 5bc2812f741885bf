/** What a process is and does as one of several, for `/metrics`, and how one answer tells of all. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ClusterCounts } from '../cluster/counts.ts';

/** What is needed of the cluster. */
export interface ObservedCluster {
  readonly role: string;
  readonly epoch: number;
  readonly memberCount: number;
  readonly counts: Readonly<ClusterCounts>;
  /** Told how long this process had no part in the log, each time it has one again. */
  onPartAgain(listener: (seconds: number) => void): void;
  /** This process answers the others of its machine. */
  answerNeighbours(method: string, answer: () => Promise<unknown>): void;
  /** Asks them; undefined for each that has not answered in time. */
  askNeighbours(method: string, timeoutMs: number): Promise<unknown[]>;
}

const roles = ['leader', 'member', 'seeking'] as const;

export const registerClusterMetrics = (registry: Registry, cluster: ObservedCluster): void => {
  new Gauge({
    name: 'parley_cluster_role',
    help: 'The part of this process: 1 for leader, member or seeking.',
    labelNames: ['role'],
    registers: [registry],
    collect() {
      for (const role of roles) this.set({ role }, role === cluster.role ? 1 : 0);
    },
  });
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge('parley_cluster_epoch', 'The newest membership this process knows.', () => cluster.epoch);
  gauge('parley_cluster_members', 'Processes that own something.', () => cluster.memberCount);
  const counter = (name: string, help: string, count: keyof ClusterCounts): void => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(cluster.counts[count]);
      },
    });
  };
  counter('parley_cluster_calls_total', 'Calls of other processes.', 'calls');
  counter('parley_cluster_lost_calls_total', 'Calls that had no answer.', 'lostCalls');
  counter(
    'parley_cluster_stream_sent_bytes_total',
    'What a leader has told its members.',
    'streamBytesSent',
  );
  counter(
    'parley_cluster_stream_received_bytes_total',
    'What a member was told by its leader.',
    'streamBytesReceived',
  );
  counter('parley_cluster_resets_total', 'How often a process began anew to follow.', 'resets');
  counter(
    'parley_cluster_membership_changes_total',
    'Epochs heard of: each moves what is owned by those who come or go.',
    'membershipChanges',
  );
  const seeking = new Histogram({
    name: 'parley_cluster_seeking_seconds',
    help: 'Time without a part in the log, from the loss of a leader to the next.',
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  });
  cluster.onPartAgain((seconds) => seeking.observe(seconds));
};

const metricsMethod = 'ops.metrics';
const askMs = 2_000;
/** Of one process; some hundred kilobytes are usual. */
const maxTextLength = 8 * 1024 * 1024;

/** The text of `/metrics` for all processes of this machine, whichever of them is asked. */
export const machineMetrics = (
  registry: Registry,
  cluster: ObservedCluster,
): (() => Promise<string>) => {
  const unanswered = new Counter({
    name: 'parley_metrics_unanswered_total',
    help: 'Processes whose figures are missing, each time this process was asked for all.',
    registers: [registry],
  });
  cluster.answerNeighbours(metricsMethod, async () => {
    const text = await registry.metrics();
    return text.length > maxTextLength ? null : text;
  });
  return async () => {
    const texts = await cluster.askNeighbours(metricsMethod, askMs);
    const told = texts.filter((text): text is string => typeof text === 'string');
    unanswered.inc(texts.length - told.length);
    return mergeMetrics([await registry.metrics(), ...told]);
  };
};

const nameOf = (block: string): string => block.split(' ', 3)[2] ?? '';

/** The format wants what has one name in one place, and described once. */
export const mergeMetrics = (texts: readonly string[]): string => {
  const merged = new Map<string, string[]>();
  for (const text of texts) {
    for (const block of text.trimEnd().split('\n\n')) {
      const name = nameOf(block);
      const known = merged.get(name);
      if (known === undefined) merged.set(name, [block]);
      // After its two lines of description.
      else known.push(...block.split('\n').slice(2));
    }
  }
  return `${[...merged.values()].map((lines) => lines.join('\n')).join('\n\n')}\n`;
};
