/** Starts processes that take part in a cluster, and lets a test order them about. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRandom } from '../../random.ts';
import { clusterSecret } from '../../storage/cluster.ts';
import { eventually } from '../../testing/server-process.ts';
import { type TestDatabase, testDatabase } from '../../testing/test-database.ts';
import type { ClusterTimings } from '../timings.ts';
import type { Order, ProgramSettings } from './member-program.ts';

type Told = Record<string, unknown>;

const folder = join(process.cwd(), 'homeserver');

export class MemberProcess {
  readonly child: ChildProcess;
  /** Everything it has told but answers, in order. */
  readonly told: Told[] = [];
  id = '';
  role = 'seeking';
  members: readonly string[] = [];
  epoch = 0;
  readonly #waiting = new Map<number, (answer: Told) => void>();
  #lastOrder = 0;

  constructor(settings: ProgramSettings) {
    const program = join(folder, 'cluster/testing/member-program.ts');
    this.child = fork(program, [JSON.stringify(settings)], {
      execArgv: ['--no-warnings', '--import', join(folder, 'testing/typescript.mjs')],
      env: { PATH: process.env['PATH'] },
    });
    this.child.on('message', (message: Told) => this.#hear(message));
    this.child.once('exit', () => {
      for (const answer of this.#waiting.values()) answer({ error: 'the process has ended' });
      this.#waiting.clear();
    });
  }

  async up(): Promise<this> {
    await eventually('a process that is up', () => this.id !== '');
    return this;
  }

  /** @throws what went wrong, as text */
  async order(order: Omit<Order, 'id'>): Promise<unknown> {
    const id = ++this.#lastOrder;
    const answer = await new Promise<Told>((resolve) => {
      this.#waiting.set(id, resolve);
      this.child.send({ id, ...order }, (error) => {
        if (error !== null) resolve({ error: error.message });
      });
    });
    if ('error' in answer) throw new Error(answer['error'] as string);
    return answer['result'];
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  #hear(message: Told): void {
    if (typeof message['id'] === 'number') {
      this.#waiting.get(message['id'])?.(message);
      this.#waiting.delete(message['id']);
      return;
    }
    this.told.push(message);
    if ('up' in message) this.id = message['up'] as string;
    if ('role' in message) this.role = message['role'] as string;
    if ('members' in message) {
      this.members = message['members'] as string[];
      this.epoch = message['epoch'] as number;
    }
  }
}

/** A database with a table of written positions, and the processes on it. */
export class TestCluster {
  readonly database: TestDatabase;
  readonly processes: MemberProcess[] = [];
  readonly secret: Buffer;
  readonly folder: string;

  private constructor(database: TestDatabase, secret: Buffer, sockets: string) {
    this.database = database;
    this.secret = secret;
    this.folder = sockets;
  }

  static async make(): Promise<TestCluster> {
    const database = await testDatabase();
    await database.database.query({ text: 'CREATE TABLE written (pos bigint, origin text)' });
    const secret = await clusterSecret(database.database, systemRandom);
    return new TestCluster(database, secret, await mkdtemp(join(tmpdir(), 'cluster-')));
  }

  /** One more process; over TCP where asked for. */
  async add({
    tcp = false,
    timings = {},
  }: {
    readonly tcp?: boolean;
    readonly timings?: Partial<ClusterTimings>;
  } = {}): Promise<MemberProcess> {
    const process = new MemberProcess({
      url: this.database.url,
      secret: this.secret.toString('base64'),
      timings,
      listen: tcp
        ? { tcp: { bind: '127.0.0.1', port: 0, advertise: '127.0.0.1' } }
        : { path: join(this.folder, `${this.processes.length}.sock`) },
    });
    this.processes.push(process);
    return process.up();
  }

  /** Waits until exactly these agree on who is there and who leads; returns the leader. */
  async agreed(processes: readonly MemberProcess[]): Promise<MemberProcess> {
    const ids = processes.map(({ id }) => id).sort();
    await eventually('processes that agree', () => {
      const [first] = processes;
      return (
        processes.filter(({ role }) => role === 'leader').length === 1 &&
        processes.every(
          ({ members, epoch, role }) =>
            role !== 'seeking' && epoch === first?.epoch && members.join() === ids.join(),
        )
      );
    });
    return processes.find(({ role }) => role === 'leader') as MemberProcess;
  }

  async positions(): Promise<number[]> {
    const { rows } = await this.database.database.query<{ pos: number }>({
      text: 'SELECT pos FROM written ORDER BY pos',
    });
    return rows.map(({ pos }) => pos);
  }

  async close(): Promise<void> {
    for (const process of this.processes) {
      process.child.kill('SIGCONT');
      await process.kill();
    }
    await this.database.close();
    await rm(this.folder, { recursive: true });
  }
}
