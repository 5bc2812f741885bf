/**
 * A process that takes part in a cluster and writes positions into a table. It obeys the messages of
 * the test that started it, and tells it everything it hears.
 */
import { silentLogger } from '../../ops/logger.ts';
import { readLeader } from '../../storage/cluster.ts';
import { connectDatabase } from '../../storage/connection.ts';
import { LogWriteFailed } from '../../streams/log.ts';
import { ClusterNode } from '../cluster-node.ts';
import type { ClusterTimings } from '../timings.ts';
import type { ListenOptions } from '../transport.ts';
import { logLead } from './log-lead.ts';

export interface ProgramSettings {
  readonly url: string;
  readonly secret: string;
  readonly listen: ListenOptions;
  readonly timings: Partial<ClusterTimings>;
}

/** What a test asks for; answered by `{ id, result }` or `{ id, error }`. */
export interface Order {
  readonly id: number;
  readonly do: 'call' | 'append' | 'position' | 'leave' | 'stop' | 'state';
  readonly to?: string;
  readonly method?: string;
  readonly args?: unknown;
}

const settings = JSON.parse(process.argv[2] as string) as ProgramSettings;
const database = connectDatabase({
  connection: { connectionString: settings.url },
  poolSize: 2,
  connectTimeoutMs: 2_000,
  logger: silentLogger,
});
const { takeLead, query } = logLead(database);
const tell = (message: object): void => void process.send?.(message, () => undefined);

/** Where this process is, and what it has followed. */
let position = 0;
/** How often it has taken the lead. */
let leads = 0;
const followed: number[] = [];

/** Of the leader: commits the next position, tells everyone, and returns it. */
let writing: Promise<unknown> = Promise.resolve();
const append = (from: string, padding: number): Promise<number> => {
  const done = writing.then(async () => {
    const lead = leads;
    const written = await query(
      `INSERT INTO written (pos, origin) VALUES (nextval('stream_positions'), $1) RETURNING pos`,
      [from],
    );
    // Written, whatever has become of the lead meanwhile; where the log is others say then.
    if (lead !== leads || node.role !== 'leader') return written;
    const after = position;
    position = written;
    node.publish(after, position, [
      { origin: from, body: position, receipt: position },
      ...(padding > 0 ? [{ body: 'x'.repeat(padding) }] : []),
    ]);
    return position;
  });
  writing = done.catch(() => undefined);
  return done;
};

const handle = (method: string, args: unknown, from: string): unknown => {
  if (method === 'append') return append(from, Number(args ?? 0));
  if (method === 'echo') return args;
  if (method === 'refuse') throw new LogWriteFailed('not the owner');
  throw new Error(`no method ${method}`);
};

const node = await ClusterNode.start({
  serverName: 'cluster.test',
  secret: Buffer.from(settings.secret, 'base64'),
  listen: settings.listen,
  timings: settings.timings,
  readLeader: () => readLeader(database),
  takeLead: async () => {
    const lead = await takeLead();
    if (lead !== undefined) {
      leads += 1;
      position = lead.position;
    }
    return lead;
  },
  handle,
  errors: [LogWriteFailed],
  logger: silentLogger,
  events: {
    onRole: (role) => tell({ role, position }),
    onMembership: ({ epoch, members }) => tell({ epoch, members: members.map(({ id }) => id) }),
    onReset: (to) => {
      position = to;
      followed.length = 0;
      tell({ reset: to });
    },
    onStream: (to, writes) => {
      position = to;
      followed.push(...writes.filter((write): write is number => typeof write === 'number'));
    },
  },
});

const obey = async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case 'call':
      return node.call(order.to as string, order.method as string, order.args, {
        timeoutMs: 3_000,
      });
    case 'append':
      return node.call('leader', 'append', order.args, { timeoutMs: 3_000 });
    case 'position':
      return { asked: await node.askPosition(), followed: position };
    case 'state':
      return { position, followed, epoch: node.membership.epoch };
    case 'leave':
      return node.leave();
    case 'stop':
      await node.stop();
      await database.close();
      return undefined;
  }
};

process.on('message', (order: Order) => {
  obey(order).then(
    (result) => tell({ id: order.id, result }),
    (error: Error) => tell({ id: order.id, error: `${error.name}: ${error.message}` }),
  );
});
process.on('disconnect', () => process.exit());
tell({ up: node.id });
