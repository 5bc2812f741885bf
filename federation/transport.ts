/**
 * Everything needed to speak with other servers, built in order: finding them, trusting them,
 * proving who we are and knowing who they are. What is said is built on top of it.
 */
import type { Clock } from '../homeserver/clock.ts';
import type { Config } from '../homeserver/config/schema.ts';
import type { Auth, Route } from '../homeserver/http/route.ts';
import type { Logger } from '../homeserver/ops/logger.ts';
import { createAddressGuard } from '../homeserver/outbound/address-guard.ts';
import { OutboundHttp } from '../homeserver/outbound/outbound-http.ts';
import type { OutboundMetrics } from '../homeserver/outbound/outbound-metrics.ts';
import { DnsResolver } from '../homeserver/outbound/resolver.ts';
import { createTrustStore } from '../homeserver/outbound/trust-store.ts';
import type { Random } from '../homeserver/random.ts';
import type { SigningKeys } from '../homeserver/signing-keys/signing-keys.ts';
import type { Database } from '../homeserver/storage/database.ts';
import type { ServerName } from '../spec/identifiers.ts';
import { serverAuth } from './auth/server-auth.ts';
import { DestinationHealth } from './destinations/destination-health.ts';
import { DEFAULT_RETRY_POLICY } from './destinations/retry-policy.ts';
import { Discovery } from './discovery/discovery.ts';
import { WellKnown } from './discovery/well-known.ts';
import { FederationClient } from './http-client.ts';
import { KeyRing } from './keys/key-ring.ts';
import { Notary } from './keys/notary.ts';
import { getServerKey, getServerKeyById } from './routes/get-server-key.ts';
import { getVersion, type Implementation } from './routes/get-version.ts';
import {
  bulkPerspectivesKeyQuery,
  perspectivesKeyQuery,
  perspectivesKeyQueryById,
} from './routes/key-query.ts';
import { serverAccess } from './server-access.ts';

export interface TransportOptions {
  readonly config: Config['federation'];
  readonly serverName: ServerName;
  readonly signingKeys: SigningKeys;
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly implementation: Implementation;
  readonly metrics?: OutboundMetrics;
}

export interface Transport {
  readonly client: FederationClient;
  readonly keyRing: KeyRing;
  readonly health: DestinationHealth;
  /** For routes that other servers call. */
  readonly auth: Auth<ServerName>;
  readonly isAllowed: (serverName: ServerName) => boolean;
  /** The routes that need nothing but keys. */
  readonly routes: readonly Route[];
  /** Fails what is under way. Close what uses it first. */
  close(): Promise<void>;
}

export const createTransport = async (options: TransportOptions): Promise<Transport> => {
  const { config, serverName, signingKeys, database, clock, random, logger, metrics } = options;
  const isAllowed = serverAccess(config);
  const resolver = new DnsResolver({ clock });
  const outbound = new OutboundHttp({
    resolver,
    guard: createAddressGuard({ allowPrivateAddresses: config.allow_private_addresses }),
    trust: createTrustStore(config.trusted_ca_file ?? undefined),
    userAgent: `${options.implementation.name}/${options.implementation.version}`,
    ...(metrics === undefined ? {} : { observe: metrics.for('federation') }),
  });
  const wellKnown = new WellKnown({ outbound, clock });
  const discovery = new Discovery({ resolver, wellKnown, random });
  const policy = { ...DEFAULT_RETRY_POLICY, maxDelayMs: config.max_retry_delay_ms };
  const health = await DestinationHealth.open({ database, clock, random, logger, policy });
  const client = new FederationClient({
    serverName,
    signingKey: () => signingKeys.current,
    outbound,
    discovery,
    health,
    clock,
    isAllowed,
    timeoutMs: config.request_timeout_ms,
    maxResponseBytes: config.max_response_bytes,
    maxConcurrentRequests: config.max_concurrent_requests,
  });
  const notaries = config.notary_servers as readonly ServerName[];
  const keyRing = new KeyRing({ database, client, own: signingKeys, clock, logger, notaries });
  const heardFrom = (origin: ServerName) => health.heardFrom(origin);
  const keyQuery = { notary: new Notary(database, keyRing, signingKeys), clock };
  return {
    client,
    keyRing,
    health,
    auth: serverAuth({ serverName, keys: keyRing, clock, isAllowed, heardFrom }),
    isAllowed,
    routes: [
      getServerKey(signingKeys),
      getServerKeyById(signingKeys),
      perspectivesKeyQuery(keyQuery),
      perspectivesKeyQueryById(keyQuery),
      bulkPerspectivesKeyQuery(keyQuery),
      getVersion(options.implementation),
    ],
    close: async () => {
      outbound.close();
      await health.close();
    },
  };
};
