/**
 * This process as one of several that are one server: the log it shares with the others, and what it
 * owns. Built before the core, which is built on the log; answers others once the core is there.
 */
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import type { ServerName } from '../spec/identifiers.ts';
import { ClusterNode } from './cluster/cluster-node.ts';
import { CallLost } from './cluster/connection.ts';
import type { ClusterCounts } from './cluster/counts.ts';
import { Epochs } from './cluster/epochs.ts';
import type { Address, MemberId } from './cluster/members.ts';
import type { ListenOptions } from './cluster/transport.ts';
import { ClusterBroadcast } from './cluster-broadcast.ts';
import { ClusterOwners, NotOwner } from './cluster-owners.ts';
import type { Random } from './random.ts';
import { clusterSecret, readLeader } from './storage/cluster.ts';
import type { Database } from './storage/database.ts';
import type { Broadcast } from './streams/broadcast.ts';
import type { Log } from './streams/log.ts';
import { type LogOptions, LogWriteFailed, LogWriteRefused } from './streams/log-writer.ts';
import { SharedLog, writeMethod } from './streams/shared-log.ts';

export interface ServerClusterDeps {
  readonly database: Database;
  readonly logger: Logger;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly listen: ListenOptions;
  readonly log: LogOptions;
  readonly onLead?: ((leads: boolean) => void) | undefined;
}

type NeighbourAnswers = Map<string, () => Promise<unknown>>;

export class ServerCluster {
  readonly log: Log;
  readonly owners: ClusterOwners;
  readonly #node: ClusterNode;
  readonly #begin: () => void;
  readonly #seeking: Seeking;
  readonly #answers: NeighbourAnswers;
  readonly #broadcast: ClusterBroadcast;
  /** Of the sockets of this machine's processes. */
  readonly #folder: string | undefined;

  private constructor(
    log: Log,
    owners: ClusterOwners,
    node: ClusterNode,
    inner: {
      readonly begin: () => void;
      readonly seeking: Seeking;
      readonly answers: NeighbourAnswers;
      readonly folder: string | undefined;
      readonly broadcast: ClusterBroadcast;
    },
  ) {
    this.log = log;
    this.owners = owners;
    this.#node = node;
    this.#begin = inner.begin;
    this.#seeking = inner.seeking;
    this.#answers = inner.answers;
    this.#folder = inner.folder;
    this.#broadcast = inner.broadcast;
  }

  /** Resolves once this process has its part in the log: it leads it, or follows whoever does. */
  static async start(deps: ServerClusterDeps): Promise<ServerCluster> {
    const { database, logger } = deps;
    const shared = new SharedLog({ database, logger, options: deps.log });
    let node: ClusterNode | undefined;
    const running = (): ClusterNode => {
      if (node === undefined) throw new NotOwner('This process is starting');
      return node;
    };
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const seeking = new Seeking();
    const answers: NeighbourAnswers = new Map();
    const epochs = new Epochs();
    const ownerOf = (key: string): string | undefined => epochs.newest?.ownerOf(key).id;
    const isUnsent = (error: unknown): boolean => error instanceof CallLost && !error.mayHaveRun;
    const askLeader = async (method: string, args: unknown): Promise<unknown> =>
      running().call('leader', method, args);
    const broadcast = new ClusterBroadcast({
      database,
      logger,
      askLeader,
      isUnsent,
      publish: (told) => {
        const { position } = shared.log;
        node?.publish(position, position, [{ body: told }]);
      },
    });
    const owners = new ClusterOwners({
      get id() {
        return running().id;
      },
      ownerOf,
      call: (member, method, args) => running().call(member, method, args),
      isUnsent,
      isLost: (error) => error instanceof CallLost,
      position: () => shared.log.position,
      reached: (position) => shared.log.reached(position),
    });
    shared.connect({
      get id() {
        return running().id;
      },
      ownerOf,
      epoch: () => epochs.newest?.epoch ?? 0,
      hasOwned: (member, key, sinceEpoch) => epochs.hasOwned(member, key, sinceEpoch),
      askPosition: async () => running().askPosition(),
      askLeader,
      publish: (after, position, writes) => node?.publish(after, position, writes),
    });
    node = await ClusterNode.start({
      serverName: deps.serverName,
      secret: await clusterSecret(database, deps.random),
      listen: deps.listen,
      readLeader: () => readLeader(database),
      takeLead: async () => {
        const lead = await shared.takeLead();
        if (lead !== undefined) await broadcast.prepare();
        return lead;
      },
      handle: async (method, args, from) => {
        if (method === writeMethod) return shared.write(from, args);
        await begun;
        const news = broadcast.answers(method);
        if (news !== undefined) return news(args);
        const answer = answers.get(method);
        if (answer !== undefined) return answer();
        return owners.handle(method, args);
      },
      events: {
        onRole: (role) => {
          if (role === 'seeking') epochs.forget();
          seeking.onRole(role);
          deps.onLead?.(role === 'leader');
          shared.onRole(role);
          broadcast.onRole(role);
        },
        onReset: (position) => {
          shared.onReset(position);
          broadcast.onReset();
        },
        onStream: (position, writes) => {
          if (!broadcast.shared.heard(writes)) shared.onStream(position, writes);
        },
        onMembership: (membership) => {
          epochs.begin(membership);
          shared.onMembers(membership.members.map(({ id }) => id));
          owners.changed();
        },
      },
      errors: [LogWriteFailed, LogWriteRefused, NotOwner],
      logger,
    });
    logger.info({ member: node.id }, 'this process is one of several');
    const { path } = deps.listen;
    const folder = path && dirname(path);
    const inner = { begin, seeking, answers, folder, broadcast };
    return new ServerCluster(shared.log, owners, node, inner);
  }

  /** What all processes are told and no table holds. */
  get broadcast(): Broadcast {
    return this.#broadcast.shared;
  }

  /** From now on this process answers for what it owns. Resolves once it knows what others do. */
  async begin(): Promise<void> {
    this.#begin();
    await this.#broadcast.begin();
  }

  /** Resolves once this process owns nothing any more, and follows the log all the same. */
  leave(): Promise<void> {
    return this.#node.leave();
  }

  /** Gives the lead away where this process has it, and hears of nothing any more. */
  stop(): Promise<void> {
    return this.#node.stop();
  }

  get role(): string {
    return this.#node.role;
  }

  get epoch(): number {
    return this.#node.membership.epoch;
  }

  get memberCount(): number {
    return this.#node.membership.members.length;
  }

  get counts(): Readonly<ClusterCounts> {
    return this.#node.counts;
  }

  /** How long this process has had no part in the log; 0 where it has one. */
  get seekingMs(): number {
    return this.#seeking.ms;
  }

  /** See `ObservedCluster`. */
  onPartAgain(listener: (seconds: number) => void): void {
    this.#seeking.listener = listener;
  }

  answerNeighbours(method: string, answer: () => Promise<unknown>): void {
    this.#answers.set(method, answer);
  }

  askNeighbours(method: string, timeoutMs: number): Promise<unknown[]> {
    return Promise.all(
      this.#neighbours().map((id) =>
        this.#node.call(id, method, null, { timeoutMs }).catch(() => undefined),
      ),
    );
  }

  /** The other processes of this machine. */
  #neighbours(): MemberId[] {
    const { members } = this.#node.membership;
    const isHere = (address: Address) =>
      'path' in address && dirname(address.path) === this.#folder;
    return members
      .filter(({ id, addresses }) => id !== this.#node.id && addresses.some(isHere))
      .map(({ id }) => id);
  }
}

/** How long a process has no part in the log. */
class Seeking {
  listener: ((seconds: number) => void) | undefined;
  #sinceMs: number | undefined;

  onRole(role: string): void {
    if (role === 'seeking') this.#sinceMs = performance.now();
    else if (this.#sinceMs !== undefined) {
      this.listener?.(this.ms / 1000);
      this.#sinceMs = undefined;
    }
  }

  get ms(): number {
    return this.#sinceMs === undefined ? 0 : performance.now() - this.#sinceMs;
  }
}
