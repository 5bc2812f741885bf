/**
 * The whole of federation, built in order on the core: what others may ask us, what we ask of them,
 * what they send us and what we send them.
 *
 * The core's services come in between: they are given `remoteRooms`, `remoteProfiles` and
 * `historyFiller`, and the routes are then given the services.
 */
import type { RemoteProfiles } from '../homeserver/accounts/profiles.ts';
import type { Config } from '../homeserver/config/schema.ts';
import type { Core } from '../homeserver/core.ts';
import type { Route } from '../homeserver/http/route.ts';
import type { OutboundMetrics } from '../homeserver/outbound/outbound-metrics.ts';
import { EventSurroundings } from '../homeserver/rooms/event-surroundings.ts';
import { HistoryFill } from '../homeserver/rooms/fill.ts';
import type { HistoryFiller } from '../homeserver/rooms/history.ts';
import { RoomImporter } from '../homeserver/rooms/import-room.ts';
import { Outliers } from '../homeserver/rooms/outliers.ts';
import { OutsideRooms } from '../homeserver/rooms/outside-rooms.ts';
import { RemoteReceiver } from '../homeserver/rooms/receive.ts';
import type { RemoteRooms } from '../homeserver/rooms/remote-rooms.ts';
import { RemoteStates } from '../homeserver/rooms/remote-states.ts';
import type { SigningKeys } from '../homeserver/signing-keys/signing-keys.ts';
import { FederatedKeys } from './encryption/remote-keys.ts';
import { FederatedRooms } from './handshakes/remote-rooms.ts';
import { FederatedHistory } from './history-filler.ts';
import { FederatedPolicyServers } from './policy-servers.ts';
import { FederationEvents } from './remote-events.ts';
import { FederatedProfiles } from './remote-profiles.ts';
import { RoomAccess } from './rooms/room-access.ts';
import { type FederationServices, federationRoutes } from './routes/all-routes.ts';
import type { Implementation } from './routes/get-version.ts';
import { FederationSender } from './sender/federation-sender.ts';
import { sendLocalEdus } from './sender/local-edus.ts';
import { mergedSource } from './sender/merged-source.ts';
import { OwnedSender } from './sender/owned-sender.ts';
import type { SenderMetrics } from './sender/sender-metrics.ts';
import { handleDeviceEdus } from './transactions/device-edus.ts';
import { EduDispatcher } from './transactions/edu-dispatcher.ts';
import { type InboundMetrics, noInboundMetrics } from './transactions/inbound-metrics.ts';
import { InboundQueue } from './transactions/inbound-queue.ts';
import { OutsideDepartures } from './transactions/outside-departures.ts';
import { handlePresenceEdus } from './transactions/presence-edus.ts';
import { handleRoomEdus } from './transactions/room-edus.ts';
import { RoomIntake } from './transactions/room-intake.ts';
import { TransactionReceiver } from './transactions/transaction-receiver.ts';
import { createTransport, type Transport } from './transport.ts';

export type { FederationServices } from './routes/all-routes.ts';

export interface FederationOptions {
  readonly config: Config['federation'];
  readonly core: Core;
  readonly signingKeys: SigningKeys;
  readonly implementation: Implementation;
  readonly metrics?: OutboundMetrics;
  readonly senderMetrics?: SenderMetrics;
  readonly inboundMetrics?: InboundMetrics;
}

export interface Federation {
  readonly transport: Transport;
  readonly remoteRooms: RemoteRooms;
  readonly remoteProfiles: RemoteProfiles;
  readonly historyFiller: HistoryFiller;
  /** For EDUs of further kinds: to-device messages, device lists. */
  readonly edus: EduDispatcher;
  readonly sender: OwnedSender;
  readonly queue: InboundQueue;
  routes(services: FederationServices): readonly Route[];
  /** Call it when the listeners are closed, and before the core is. */
  close(): Promise<void>;
}

export const createFederation = async (options: FederationOptions): Promise<Federation> => {
  const { config, core, signingKeys, implementation, metrics } = options;
  const { database, logger, serverName, clock, random } = core;
  const transport = await createTransport({
    ...core,
    config,
    signingKeys,
    implementation,
    ...(metrics !== undefined && { metrics }),
  });
  const { client, keyRing, health, auth, isAllowed } = transport;
  const remote = new FederationEvents({ client, keyRing });
  const parts = { ...core, db: database, client, keyRing, remote, localServer: serverName };

  core.policyServers.askThrough(new FederatedPolicyServers({ client }));
  const outliers = new Outliers(core);
  const states = new RemoteStates({ ...core, outliers, remote });
  const surroundings = new EventSurroundings({ ...core, outliers, remote, states });
  const receiver = new RemoteReceiver({ ...core, outliers, remote, surroundings });
  const importer = new RoomImporter({ ...parts, outliers });
  const outsideRooms = new OutsideRooms(parts);
  const fill = new HistoryFill({ ...parts, outliers, states, surroundings });
  const access = new RoomAccess(core);

  const remoteRooms = new FederatedRooms({
    ...parts,
    remoteEvents: remote,
    importer,
    receiver,
    outsideRooms,
    joinTimeoutMs: config.join_timeout_ms,
  });

  const edus = new EduDispatcher(logger);
  handleRoomEdus(edus, { ...core, access });
  handlePresenceEdus(edus, core);
  handleDeviceEdus(edus, core.encryption);
  core.encryption.askThrough(new FederatedKeys(client));
  const inbound = options.inboundMetrics ?? noInboundMetrics;
  const queue = await InboundQueue.open({ ...core, access, receiver });
  const outsideDepartures = new OutsideDepartures({ ...parts, outsideRooms });
  const intake = new RoomIntake({ ...core, access, receiver, queue, metrics: inbound });
  const transactions = new TransactionReceiver({
    ...parts,
    access,
    intake,
    edus,
    outsideDepartures,
    metrics: inbound,
  });
  inbound.watchQueue(queue);
  options.senderMetrics?.watchDestinations(health);

  const sender = await OwnedSender.start({
    owners: core.owners,
    logger,
    start: () =>
      FederationSender.start({
        origin: serverName,
        database,
        source: mergedSource(core.outbound, core.encryption.outboundEdus),
        client,
        health,
        clock,
        random,
        logger,
        isAllowed,
        ...(options.senderMetrics !== undefined && { metrics: options.senderMetrics }),
      }),
  });
  sendLocalEdus({ ...core, sender });

  return {
    transport,
    remoteRooms,
    remoteProfiles: new FederatedProfiles({ client, clock }),
    historyFiller: new FederatedHistory({ ...parts, fill }),
    edus,
    sender,
    queue,
    routes: (services) => [
      ...transport.routes,
      ...federationRoutes(
        { core, auth, keyRing, access, receiver: intake, outsideRooms, transactions },
        services,
      ),
    ],
    close: async () => {
      const queueClosed = queue.close();
      await sender.stop();
      // What the queue waits for from other servers fails now, and is asked for by the next start.
      await transport.close();
      await queueClosed;
    },
  };
};
