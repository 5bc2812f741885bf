/**
 * This process as one of several that are one server: the log it shares with the others, and what it
 * owns. Built before the core, which is built on the log; answers others once the core is there.
 */
import type { Logger } from 'pino';
import type { ServerName } from '../spec/identifiers.ts';
import { ClusterNode } from './cluster/cluster-node.ts';
import { CallLost } from './cluster/connection.ts';
import { Epochs } from './cluster/epochs.ts';
import type { ListenOptions } from './cluster/transport.ts';
import { ClusterOwners, NotOwner } from './cluster-owners.ts';
import type { Random } from './random.ts';
import { clusterSecret, readLeader } from './storage/cluster.ts';
import type { Database } from './storage/database.ts';
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
}

export class ServerCluster {
  readonly log: Log;
  readonly owners: ClusterOwners;
  readonly #node: ClusterNode;
  readonly #begin: () => void;

  private constructor(log: Log, owners: ClusterOwners, node: ClusterNode, begin: () => void) {
    this.log = log;
    this.owners = owners;
    this.#node = node;
    this.#begin = begin;
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
    const epochs = new Epochs();
    const ownerOf = (key: string): string | undefined => epochs.newest?.ownerOf(key).id;
    const owners = new ClusterOwners({
      get id() {
        return running().id;
      },
      ownerOf,
      call: (member, method, args) => running().call(member, method, args),
      isUnsent: (error) => error instanceof CallLost && !error.mayHaveRun,
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
      askLeader: (method, args) => running().call('leader', method, args),
      publish: (after, position, writes) => node?.publish(after, position, writes),
    });
    node = await ClusterNode.start({
      serverName: deps.serverName,
      secret: await clusterSecret(database, deps.random),
      listen: deps.listen,
      readLeader: () => readLeader(database),
      takeLead: () => shared.takeLead(),
      handle: async (method, args, from) => {
        if (method === writeMethod) return shared.write(from, args);
        await begun;
        return owners.handle(method, args);
      },
      events: {
        onRole: (role) => {
          if (role === 'seeking') epochs.forget();
          shared.onRole(role);
        },
        onReset: (position) => shared.onReset(position),
        onStream: (position, writes) => shared.onStream(position, writes),
        onMembership: (membership) => {
          epochs.begin(membership);
          owners.changed();
        },
      },
      errors: [LogWriteFailed, LogWriteRefused, NotOwner],
      logger,
    });
    return new ServerCluster(shared.log, owners, node, begin);
  }

  /** From now on this process answers for what it owns. */
  begin(): void {
    this.#begin();
  }

  /** Resolves once this process owns nothing any more, and follows the log all the same. */
  leave(): Promise<void> {
    return this.#node.leave();
  }

  /** Gives the lead away where this process has it, and hears of nothing any more. */
  stop(): Promise<void> {
    return this.#node.stop();
  }

  /** For logs, metrics and health. */
  get id(): string {
    return this.#node.id;
  }

  get role(): string {
    return this.#node.role;
  }
}
