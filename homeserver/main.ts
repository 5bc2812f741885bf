/**
 * The composition root: builds everything in order and closes it in reverse. The only file of
 * `homeserver/` that looks outward.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { clientAuth } from '../client-api/auth.ts';
import { clientApiRoutes } from '../client-api/routes.ts';
import { createFederation } from '../federation/federation.ts';
import { getWellKnownServer } from '../federation/routes/get-well-known-server.ts';
import { senderMetrics } from '../federation/sender/sender-metrics.ts';
import { inboundMetrics } from '../federation/transactions/inbound-metrics.ts';
import type { ServerName } from '../spec/identifiers.ts';
import { createAccounts } from './accounts/accounts.ts';
import { OpenIdTokens } from './accounts/openid-tokens.ts';
import type { ChildPlace } from './child-place.ts';
import { version } from './cli/version.ts';
import { systemClock } from './clock.ts';
import {
  connectionLimits,
  passwordPolicy,
  publicBaseUrl,
  registrationPolicy,
  signingKeyFile,
  turnPolicy,
} from './config/derived.ts';
import { httpListeners } from './config/listeners.ts';
import { rateLimitTable } from './config/rate-limits.ts';
import type { Config } from './config/schema.ts';
import { supportDocument } from './config/well-known.ts';
import { createCore } from './core.ts';
import { createDiscovery } from './discovery/create-discovery.ts';
import { RateLimits } from './http/rate-limits.ts';
import { createHttpServer } from './http/server.ts';
import { joinCluster } from './join-cluster.ts';
import { machineMetrics, registerClusterMetrics } from './ops/cluster-metrics.ts';
import { logMetrics, registerAccountMetrics, registerCoreMetrics } from './ops/core-metrics.ts';
import type { Logger } from './ops/logger.ts';
import { createMetricsRegistry } from './ops/metrics.ts';
import { healthRoutes, metricsRoute } from './ops/operator-routes.ts';
import type { RunningServer } from './ops/running-server.ts';
import { serviceError } from './ops/service-errors.ts';
import { outboundMetrics } from './outbound/outbound-metrics.ts';
import { accountDataWithRules } from './push/account-data-with-rules.ts';
import { systemRandom } from './random.ts';
import { History, noHistoryFiller } from './rooms/history.ts';
import { createRoomServices } from './rooms/room-services.ts';
import { SigningKeys } from './signing-keys/signing-keys.ts';
import { joinDatabase, openDatabase } from './storage/open-database.ts';
import { assertServerName } from './storage/server-identity.ts';
import { createSync } from './sync/create-sync.ts';
import { createUpkeep, upkeepMetrics, upkeepSettings } from './upkeep/create-upkeep.ts';

/** In which whoever asks on an open connection learns that it ends; others answer from then on. */
const toldMs = 300;

/** Resolves when every listener answers. Throws a `StartFailure` for what an operator can mend. */
export const startServer = async (
  config: Config,
  logger: Logger,
  place?: ChildPlace,
): Promise<RunningServer> => {
  const closers: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return await build(config, logger, place, closers, close);
  } catch (error) {
    await close();
    throw error;
  }
};

const build = async (
  config: Config,
  logger: Logger,
  place: ChildPlace | undefined,
  closers: (() => unknown)[],
  close: () => Promise<void>,
): Promise<RunningServer> => {
  const clock = systemClock;
  const random = systemRandom;
  const serverName = config.server_name as ServerName;
  const metrics = createMetricsRegistry({
    processMetrics: true,
    process: place && String(place.number),
  });
  const limitTable = rateLimitTable(config.rate_limits);
  const limits = limitTable && new RateLimits(limitTable, clock);
  const draining = new AbortController();

  const opened = await (place === undefined ? openDatabase : joinDatabase)(config, logger);
  closers.push(() => opened.stop());
  const { database } = opened;
  await assertServerName(database, serverName);

  const signingKeys = await SigningKeys.open({
    path: signingKeyFile(config),
    shared: config.cluster.port === null ? undefined : database,
    serverName,
    clock,
    random,
    logger,
  });
  closers.push(() => signingKeys.close());

  const observe = logMetrics(metrics);
  const cluster = await joinCluster(config, place, {
    database,
    logger,
    random,
    serverName,
    observe,
  });
  closers.push(() => cluster?.stop());

  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const core = await createCore({
    database,
    logger,
    serverName,
    signingKey: () => signingKeys.current,
    clock,
    random,
    log: { observe, onSuperseded: fail },
    openLog: cluster && (async () => cluster.log),
    owners: cluster?.owners,
    broadcast: cluster?.broadcast,
    presenceEnabled: config.presence.enabled,
    typingEnabled: config.typing.enabled,
    showDeviceNames: config.accounts.show_device_names,
    maxCacheBytes: config.caches.max_bytes,
    rateLimits: limits,
  });
  // The lead is given away with everything written, before the log is closed.
  closers.push(
    () => core.close(),
    () => cluster?.stop(),
  );
  draining.signal.addEventListener('abort', () => core.notifier.drain());
  registerCoreMetrics(metrics, core);
  if (cluster !== undefined) registerClusterMetrics(metrics, cluster);
  const metricsText = cluster && machineMetrics(metrics, cluster);

  const federation = config.federation.enabled
    ? await createFederation({
        config: config.federation,
        core,
        signingKeys,
        implementation: { name: 'Parley', version: version() },
        metrics: outboundMetrics(metrics),
        senderMetrics: senderMetrics(metrics),
        inboundMetrics: inboundMetrics(metrics),
      })
    : undefined;
  closers.push(() => federation?.close());

  const accounts = createAccounts({
    database,
    clock,
    random,
    logger,
    serverName,
    registration: registrationPolicy(config),
    passwords: passwordPolicy(config),
    limits,
    remoteProfiles: federation?.remoteProfiles,
    deviceListeners: [core.encryption.deviceListener],
  });
  registerAccountMetrics(metrics, accounts, limits);
  await accounts.start();
  closers.push(() => accounts.stop());

  const rooms = createRoomServices(core, {
    defaultRoomVersion: config.rooms.default_version,
    remote: federation?.remoteRooms,
    inviteLimits: limits,
    publishers: config.rooms.directory_publishers,
  });
  accounts.profiles.onChange(rooms.memberUpkeep);
  accounts.changes.onDeparture(rooms.memberUpkeep);
  closers.push(() => rooms.idle());
  await accounts.changes.resumeDepartures();

  const filler = federation?.historyFiller ?? noHistoryFiller;
  const history = new History({ ...core, db: database, filler });
  const { close: closeDiscovery, ...discovery } = createDiscovery(
    core,
    history,
    rooms.restrictedJoins,
    federation?.remoteRooms,
    filler,
  );
  closers.push(closeDiscovery);
  const openIdTokens = new OpenIdTokens({ database, clock, random });
  const clientRoutes = clientApiRoutes({
    ...core,
    ...rooms,
    ...discovery,
    openIdTokens,
    turn: turnPolicy(config),
    accountData: accountDataWithRules(core.accountData, core.pushRules),
    history,
    sync: createSync(core),
    auth: clientAuth(accounts),
    accounts,
    wellKnown: {
      clientBaseUrl: config.well_known.client ? publicBaseUrl(config) : undefined,
      support: supportDocument(config.well_known),
      clientExtra: config.well_known.client_extra,
    },
    defaultRoomVersion: config.rooms.default_version,
  });

  const federationRoutes = [
    getWellKnownServer(config.well_known.server ?? undefined),
    ...(federation?.routes({
      ...rooms,
      publicRooms: config.federation.public_rooms ? rooms.publicRooms : undefined,
      profiles: accounts.profiles,
      openIdTokens,
    }) ?? []),
  ];

  const http = createHttpServer({
    listeners: httpListeners(config),
    resources: {
      client: { routes: clientRoutes, cors: true },
      federation: { routes: federationRoutes, cors: false },
      media: { routes: [], cors: true },
      health: {
        routes: healthRoutes({ ...core, cluster, draining: draining.signal }),
        cors: false,
      },
      metrics: { routes: [metricsRoute(metrics, metricsText)], cors: false },
    },
    logger,
    metrics,
    trustedProxies: config.trusted_proxies,
    maxBodyBytes: config.limits.max_body_bytes,
    connections: connectionLimits(config),
    translateError: serviceError,
    caughtUp: () => core.log.caughtUp(),
    ...(limits !== undefined && { rateLimits: limits }),
  });
  const upkeep = createUpkeep(
    { database, clock, logger, observe: upkeepMetrics(metrics) },
    upkeepSettings(config, core, accounts.sessions),
  );
  upkeep.start();
  closers.push(() => upkeep.stop());

  await cluster?.begin();
  await http.start();
  closers.push(() => http.stop({ graceMs: config.limits.stop_timeout_ms }));

  return {
    baseUrl: publicBaseUrl(config, http.addresses()[0]?.port),
    registrationToken: await accounts.registrationTokens.ensureFirstStartToken(),
    failed,
    async stop() {
      draining.abort();
      if (cluster !== undefined) {
        http.drain();
        await Promise.all([cluster.leave(), sleep(toldMs)]);
      }
      await close();
    },
  };
};
