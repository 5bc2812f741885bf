/** Our side of federation for tests: everything real, on a database and a key file of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../homeserver/ops/logger.ts';
import { createAddressGuard } from '../../homeserver/outbound/address-guard.ts';
import { OutboundHttp } from '../../homeserver/outbound/outbound-http.ts';
import { DnsResolver } from '../../homeserver/outbound/resolver.ts';
import type { TestAuthority } from '../../homeserver/outbound/testing/test-authority.ts';
import { systemRandom } from '../../homeserver/random.ts';
import { SigningKeys } from '../../homeserver/signing-keys/signing-keys.ts';
import { FakeClock } from '../../homeserver/testing/fake-clock.ts';
import { type TestDatabase, testDatabase } from '../../homeserver/testing/test-database.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { DestinationHealth } from '../destinations/destination-health.ts';
import type { RetryPolicy } from '../destinations/retry-policy.ts';
import { Discovery } from '../discovery/discovery.ts';
import { WellKnown } from '../discovery/well-known.ts';
import { FederationClient } from '../http-client.ts';
import { KeyRing } from '../keys/key-ring.ts';

export const HERE = 'here.test' as ServerName;

export interface TestFederationOptions {
  readonly authority: TestAuthority;
  readonly notaries?: readonly ServerName[];
  readonly denied?: ReadonlySet<ServerName>;
  readonly policy?: RetryPolicy;
  readonly timeoutMs?: number;
}

export class TestFederation {
  readonly clock = new FakeClock();
  readonly outbound: OutboundHttp;
  readonly signingKeys: SigningKeys;
  readonly health: DestinationHealth;
  readonly client: FederationClient;
  readonly keyRing: KeyRing;
  readonly #stored: TestDatabase;
  readonly #folder: string;

  private constructor(
    options: TestFederationOptions,
    stored: TestDatabase,
    folder: string,
    clock: FakeClock,
    signingKeys: SigningKeys,
    health: DestinationHealth,
  ) {
    this.#stored = stored;
    this.#folder = folder;
    this.clock = clock;
    this.signingKeys = signingKeys;
    this.health = health;
    const resolver = new DnsResolver({ servers: ['127.0.0.1:9'], timeoutMs: 100, clock });
    this.outbound = new OutboundHttp({
      resolver,
      guard: createAddressGuard({ allowPrivateAddresses: true }),
      trust: options.authority.trust,
      userAgent: 'Test/1',
    });
    const wellKnown = new WellKnown({ outbound: this.outbound, clock });
    this.client = new FederationClient({
      serverName: HERE,
      signingKey: () => signingKeys.current,
      outbound: this.outbound,
      discovery: new Discovery({ resolver, wellKnown, random: systemRandom }),
      health,
      clock,
      isAllowed: (serverName) => options.denied?.has(serverName) !== true,
      timeoutMs: options.timeoutMs ?? 2000,
      maxResponseBytes: 1_000_000,
      maxConcurrentRequests: 50,
    });
    this.keyRing = this.newKeyRing(options.notaries);
  }

  static async start(options: TestFederationOptions): Promise<TestFederation> {
    const clock = new FakeClock();
    const stored = await testDatabase();
    const folder = await mkdtemp(join(tmpdir(), 'federation-'));
    const common = { clock, random: systemRandom, logger: silentLogger };
    const path = join(folder, 'signing.key');
    const signingKeys = await SigningKeys.open({ ...common, path, serverName: HERE });
    const health = await DestinationHealth.open({
      ...common,
      database: stored.database,
      ...(options.policy === undefined ? {} : { policy: options.policy }),
    });
    return new TestFederation(options, stored, folder, clock, signingKeys, health);
  }

  get database() {
    return this.#stored.database;
  }

  /** Another key ring on the same database, as after a restart. */
  newKeyRing(notaries: readonly ServerName[] = []): KeyRing {
    return new KeyRing({
      database: this.database,
      client: this.client,
      own: this.signingKeys,
      clock: this.clock,
      logger: silentLogger,
      notaries,
    });
  }

  async stop(): Promise<void> {
    this.outbound.close();
    this.signingKeys.close();
    await this.health.close();
    await this.#stored.close();
    await rm(this.#folder, { recursive: true });
  }
}
