/** What the core is busy with, for `/metrics`. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Accounts } from '../accounts/accounts.ts';
import type { Core } from '../core.ts';
import type { RateLimits } from '../http/rate-limits.ts';
import { estimatedRows } from '../storage/estimated-rows.ts';
import type { LogOptions } from '../streams/log.ts';

/** For `LogOptions.observe`. */
export const logMetrics = (registry: Registry): NonNullable<LogOptions['observe']> => {
  const writes = new Counter({
    name: 'parley_log_writes_total',
    help: 'Writes to the log, by outcome.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const commits = new Histogram({
    name: 'parley_log_commit_seconds',
    help: 'Time to write and commit one batch of the log.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2],
    registers: [registry],
  });
  const batches = new Histogram({
    name: 'parley_log_batch_writes',
    help: 'Writes that were committed together.',
    buckets: [1, 2, 5, 10, 25, 50, 100, 250],
    registers: [registry],
  });
  return (count, seconds, outcome) => {
    batches.observe(count);
    writes.inc({ outcome }, count);
    commits.observe(seconds);
  };
};

export const registerCoreMetrics = (registry: Registry, core: Core): void => {
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
  gauge('parley_log_position', 'The newest position of the log.', () => core.log.position);
  gauge('parley_sync_waiting', 'Long polls that are waiting.', () => core.notifier.waiting);
  gauge('parley_rooms_in_memory', 'Rooms held in memory.', () => core.registry.size);
  new Gauge({
    name: 'parley_cache_bytes',
    help: 'What memory of each kind holds, as caches.max_bytes counts it.',
    labelNames: ['share'],
    registers: [registry],
    collect() {
      for (const [share, bytes] of core.budget.heldBytes()) this.set({ share }, bytes);
    },
  });
  const counting = new Histogram({
    name: 'parley_unread_counting_seconds',
    help: 'Time to count what one person has not read, where memory did not suffice.',
    buckets: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
    registers: [registry],
  });
  core.unreadCounts.onCounted((seconds) => counting.observe(seconds));
  let isAsking = false;
  new Gauge({
    name: 'parley_to_device_waiting_estimate',
    help: 'Messages that wait for devices, as the database last counted them.',
    registers: [registry],
    collect() {
      // As of the last reading: while the database is away the rest is told all the same.
      if (isAsking) return;
      isAsking = true;
      void estimatedRows(core.database, 'to_device_messages')
        .then((rows) => this.set(rows))
        .catch(() => undefined)
        .finally(() => {
          isAsking = false;
        });
    },
  });
  const { pool } = core.database;
  gauge('parley_database_connections', 'Open database connections.', () => pool.totalCount);
  gauge(
    'parley_database_waiting',
    'Requests that wait for a database connection.',
    () => pool.waitingCount,
  );
  new Counter({
    name: 'parley_database_statements_total',
    help: 'Statements sent to the database.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(core.database.statementCount);
    },
  });
};

/** Of what people try. */
export const registerAccountMetrics = (
  registry: Registry,
  { credentials, passwords }: Pick<Accounts, 'credentials' | 'passwords'>,
  limits: RateLimits | undefined,
): void => {
  new Counter({
    name: 'parley_wrong_passwords_total',
    help: 'Passwords that were wrong, at login and wherever one is asked for.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(credentials.wrongPasswords);
    },
  });
  new Gauge({
    name: 'parley_passwords_waiting',
    help: 'Passwords that wait to be hashed.',
    registers: [registry],
    collect() {
      this.set(passwords.waiting);
    },
  });
  new Counter({
    name: 'parley_rate_limited_total',
    help: 'Requests refused with 429, by the limit of rate_limits that refused them.',
    labelNames: ['limit'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [limit, count] of limits?.refusals ?? []) this.inc({ limit }, count);
    },
  });
};
