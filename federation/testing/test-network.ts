/**
 * Several of our servers that federate, for tests: each with its own database, key and certificate,
 * speaking HTTPS on loopback under the name `127.0.0.1:port`. Everything is real but the clock, which
 * they share.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OpenIdTokens } from '../../homeserver/accounts/openid-tokens.ts';
import { Profiles } from '../../homeserver/accounts/profiles.ts';
import type { Config } from '../../homeserver/config/schema.ts';
import { type Core, type CoreOptions, createCore } from '../../homeserver/core.ts';
import { createHttpServer, type HttpServer } from '../../homeserver/http/server.ts';
import { silentLogger } from '../../homeserver/ops/logger.ts';
import {
  createTestAuthority,
  type TestAuthority,
} from '../../homeserver/outbound/testing/test-authority.ts';
import { systemRandom } from '../../homeserver/random.ts';
import { History } from '../../homeserver/rooms/history.ts';
import { createRoomServices, type RoomServices } from '../../homeserver/rooms/room-services.ts';
import { SigningKeys } from '../../homeserver/signing-keys/signing-keys.ts';
import { insertUser } from '../../homeserver/storage/users.ts';
import { FakeClock } from '../../homeserver/testing/fake-clock.ts';
import { type LinkedCores, linkedCores } from '../../homeserver/testing/linked-cores.ts';
import { type TestDatabase, testDatabase } from '../../homeserver/testing/test-database.ts';
import type { JsonObject } from '../../spec/event.ts';
import { compileRoomEventFilter } from '../../spec/filter.ts';
import type { EventId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { createFederation, type Federation } from '../federation.ts';
import { RoomPeer } from './room-peer.ts';

const freePort = async (): Promise<number> => {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
};

type FederationConfig = Config['federation'];

const federationConfig = (caFile: string): FederationConfig => ({
  enabled: true,
  allowed_servers: null,
  denied_servers: [],
  public_rooms: true,
  trusted_ca_file: caFile,
  allow_private_addresses: true,
  signing_key_file: null,
  notary_servers: [],
  request_timeout_ms: 10_000,
  join_timeout_ms: 30_000,
  max_concurrent_requests: 50,
  max_response_bytes: 134_217_728,
  max_retry_delay_ms: 1_000,
});

interface Place {
  readonly folder: string;
  readonly caFile: string;
  readonly authority: TestAuthority;
  readonly clock: FakeClock;
  readonly config?: Partial<FederationConfig>;
  /** What the server consists of: the first is the one that others reach. */
  readonly processes?: number;
}

/** One of the processes of a server. */
export interface NetworkProcess {
  readonly core: Core;
  readonly federation: Federation;
  readonly rooms: RoomServices;
  readonly history: History;
}

export class NetworkServer {
  readonly name: ServerName;
  readonly clock: FakeClock;
  core!: Core;
  rooms!: RoomServices;
  federation!: Federation;
  history!: History;
  openIdTokens!: OpenIdTokens;
  profiles!: Profiles;
  /** Where the server consists of several processes: how they are linked, and those but the first. */
  linked: LinkedCores | undefined;
  others: readonly NetworkProcess[] = [];
  /** Batches of the log that the database refused. */
  refusedBatches = 0;
  readonly #place: Place;
  readonly #stored: TestDatabase;
  readonly #port: number;
  readonly #certificate: { readonly cert: string; readonly key: string };
  #signingKeys!: SigningKeys;
  #http: HttpServer | undefined;
  #isUp = false;

  private constructor(place: Place, stored: TestDatabase, port: number) {
    this.#place = place;
    this.#stored = stored;
    this.#port = port;
    this.clock = place.clock;
    this.name = `127.0.0.1:${port}` as ServerName;
    this.#certificate = place.authority.issue(['127.0.0.1']);
  }

  static async open(place: Place): Promise<NetworkServer> {
    const server = new NetworkServer(place, await testDatabase(), await freePort());
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const { database } = this.#stored;
    const common = { clock: this.clock, random: systemRandom, logger: silentLogger };
    this.#signingKeys = await SigningKeys.open({
      ...common,
      path: join(this.#place.folder, `${this.#port}.key`),
      serverName: this.name,
    });
    const signingKeys = this.#signingKeys;
    const options: CoreOptions & { clock: FakeClock } = {
      ...common,
      database,
      serverName: this.name,
      signingKey: () => signingKeys.current,
      log: {
        observe: (_writes, _seconds, outcome) => {
          if (outcome === 'failed') this.refusedBatches += 1;
        },
      },
    };
    const { processes = 1 } = this.#place;
    this.linked = processes > 1 ? await linkedCores(processes, options) : undefined;
    const cores = this.linked?.cores ?? [await createCore(options)];
    const [first, ...others] = await Promise.all(cores.map((core) => this.#process(core)));
    Object.assign(this, first);
    this.others = others;
    this.profiles = new Profiles({
      database,
      serverName: this.name,
      listeners: [],
      remote: this.federation.remoteProfiles,
    });
    const openIdTokens = new OpenIdTokens({ database, clock: this.clock, random: systemRandom });
    this.openIdTokens = openIdTokens;
    const { profiles } = this;
    // They are not reached from outside, and answer the first.
    for (const { federation, rooms } of others) {
      federation.routes({ ...rooms, profiles, openIdTokens });
    }
    this.#http = createHttpServer({
      listeners: [
        {
          port: this.#port,
          bind: '127.0.0.1',
          tls: this.#certificate,
          resources: ['federation'],
        },
      ],
      resources: {
        federation: {
          routes: this.federation.routes({ ...this.rooms, profiles: this.profiles, openIdTokens }),
          cors: false,
        },
      },
      logger: silentLogger,
      checkResponses: true,
    });
    await this.#http.start();
    this.#isUp = true;
  }

  async #process(core: Core): Promise<NetworkProcess> {
    const federation = await createFederation({
      config: { ...federationConfig(this.#place.caFile), ...this.#place.config },
      core,
      signingKeys: this.#signingKeys,
      implementation: { name: 'Parley', version: '0' },
    });
    const remote = federation.remoteRooms;
    return {
      core,
      federation,
      rooms: createRoomServices(core, { defaultRoomVersion: '12', remote }),
      history: new History({ ...core, db: core.database, filler: federation.historyFiller }),
    };
  }

  /** Stops it as an operator would; `start` brings it back with what is in its database. */
  async stop(): Promise<void> {
    if (!this.#isUp) return;
    this.#isUp = false;
    await this.#http?.stop({ graceMs: 100 });
    for (const { federation } of this.others) await federation.close();
    await this.federation.close();
    await (this.linked ?? this.core).close();
    this.#signingKeys.close();
  }

  async close(): Promise<void> {
    await this.stop();
    await this.#stored.close();
  }

  /** A person with an account here. */
  async user(name: string): Promise<UserId> {
    const userId = `@${name}:${this.name}` as UserId;
    await this.#stored.database.transaction((tx) =>
      insertUser(tx, {
        userId,
        passwordHash: undefined,
        isAdmin: false,
        isGuest: false,
        appserviceId: undefined,
        createdAtMs: this.clock.nowMs(),
      }),
    );
    return userId;
  }

  async say(sender: UserId, roomId: RoomId, body: string): Promise<EventId> {
    const content: JsonObject = { msgtype: 'm.text', body };
    return this.core.localEvents.send(roomId, { type: 'm.room.message', sender, content });
  }

  /** The texts of a room's newest messages as one of its members pages back, oldest first. */
  async messages(userId: UserId, roomId: RoomId, limit = 50): Promise<string[]> {
    const { events } = await this.history.messages({
      userId,
      roomId,
      from: undefined,
      to: undefined,
      direction: 'backwards',
      limit,
      filter: compileRoomEventFilter({}),
    });
    return events
      .flatMap(({ stored }) => {
        const { body } = stored.event.content;
        return typeof body === 'string' ? [body] : [];
      })
      .reverse();
  }

  /** The ids of the events that make up a room's current state, sorted. */
  async state(roomId: RoomId): Promise<EventId[]> {
    const room = await this.core.registry.find(roomId);
    return [...(room?.state.toMap().values() ?? [])].map(({ eventId }) => eventId).sort();
  }

  async membership(userId: UserId, roomId: RoomId): Promise<string | undefined> {
    return (await this.core.registry.find(roomId))?.membership(userId);
  }
}

export class TestNetwork {
  readonly clock: FakeClock;
  readonly #place: Place;
  readonly #servers: NetworkServer[] = [];
  readonly #peers: RoomPeer[] = [];

  private constructor(place: Place) {
    this.#place = place;
    this.clock = place.clock;
  }

  static async open(): Promise<TestNetwork> {
    const folder = await mkdtemp(join(tmpdir(), 'network-'));
    const authority = createTestAuthority();
    const caFile = join(folder, 'ca.pem');
    await writeFile(caFile, authority.caPem);
    return new TestNetwork({ folder, caFile, authority, clock: new FakeClock() });
  }

  async server(config: Partial<FederationConfig> = {}, processes = 1): Promise<NetworkServer> {
    const server = await NetworkServer.open({ ...this.#place, config, processes });
    this.#servers.push(server);
    return server;
  }

  /** A server that the test plays. */
  async peer(): Promise<RoomPeer> {
    const { authority, clock } = this.#place;
    const peer = await RoomPeer.start(authority, () => clock.nowMs());
    this.#peers.push(peer);
    return peer;
  }

  async close(): Promise<void> {
    for (const peer of this.#peers) await peer.stop();
    for (const server of this.#servers) await server.close();
    await rm(this.#place.folder, { recursive: true });
  }
}
