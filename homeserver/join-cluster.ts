/** Whether this process is one of several, and how the others reach it. */
import type { ServerName } from '../spec/identifiers.ts';
import { type ChildPlace, tellParent } from './child-place.ts';
import type { ListenOptions } from './cluster/transport.ts';
import type { Config } from './config/schema.ts';
import type { Logger } from './ops/logger.ts';
import { StartFailure } from './ops/start-failure.ts';
import type { Random } from './random.ts';
import { ServerCluster } from './server-cluster.ts';
import { addressTowardsDatabase } from './storage/cluster.ts';
import type { Database } from './storage/database.ts';
import type { LogOptions } from './streams/log-writer.ts';

interface JoinDeps {
  readonly database: Database;
  readonly logger: Logger;
  readonly random: Random;
  readonly serverName: ServerName;
  readonly observe: LogOptions['observe'];
}

const localHost = '127.0.0.1';

/** Undefined for a server that is one process. */
export const joinCluster = async (
  config: Config,
  place: ChildPlace | undefined,
  { observe, ...deps }: JoinDeps,
): Promise<ServerCluster | undefined> => {
  const tcp = await listenOnTcp(config, place, deps.database);
  if (place === undefined && tcp === undefined) return undefined;
  const listen: ListenOptions = {
    ...(place !== undefined && { path: place.socket }),
    ...(tcp !== undefined && { tcp }),
  };
  const onLead = (leads: boolean): void => tellParent({ leads });
  return ServerCluster.start({ ...deps, listen, log: { observe }, onLead });
};

const listenOnTcp = async (
  { cluster }: Config,
  place: ChildPlace | undefined,
  database: Database,
): Promise<ListenOptions['tcp']> => {
  const { port, bind } = cluster;
  if (port === null) return undefined;
  const advertise = cluster.advertise ?? (await addressTowardsDatabase(database));
  if (advertise === undefined) {
    throw new StartFailure(
      'config',
      'cluster.advertise is not set, and the database is reached by a socket on this machine, so ' +
        `nothing says what other machines call this one: set it (${localHost} for tests).`,
    );
  }
  // Each process of this machine has a port of its own.
  const offset = port === 0 || place === undefined ? 0 : place.number - 1;
  return { bind, port: port + offset, advertise };
};
