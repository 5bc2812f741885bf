/**
 * From a server name to where its requests go, which `Host` they carry, and whose certificate must
 * answer. Comments carry the step numbers of the specification.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#resolving-server-names
 */
import type { Resolver } from '../../homeserver/outbound/resolver.ts';
import type { HttpTarget } from '../../homeserver/outbound/target.ts';
import type { Random } from '../../homeserver/random.ts';
import { parseServerName, type ServerAddress } from '../../spec/identifiers.ts';
import { serviceOrder } from './service-order.ts';
import type { WellKnown } from './well-known.ts';

export interface DiscoveryOptions {
  readonly resolver: Resolver;
  readonly wellKnown: WellKnown;
  readonly random: Random;
  /** Where a server listens that names no port; anything but 8448 only in tests. */
  readonly defaultPort?: number;
}

/** A name that can never lead to a server. */
export class InvalidServerName extends Error {
  override readonly name = 'InvalidServerName';
}

const MAX_TARGETS = 8;

export class Discovery {
  readonly #resolver: Resolver;
  readonly #wellKnown: WellKnown;
  readonly #random: Random;
  readonly #defaultPort: number;

  constructor({ resolver, wellKnown, random, defaultPort = 8448 }: DiscoveryOptions) {
    this.#resolver = resolver;
    this.#wellKnown = wellKnown;
    this.#random = random;
    this.#defaultPort = defaultPort;
  }

  /**
   * Where to try to reach a server, in order; never empty. Cheap to ask for every request: what it
   * looks up is cached below.
   * @throws {InvalidServerName}
   */
  async targetsOf(serverName: string): Promise<HttpTarget[]> {
    const address = parseServerName(serverName);
    if (address === undefined) throw new InvalidServerName(`${serverName} is no server name`);
    // Steps 1 and 2: the name itself says where.
    const explicit = this.#explicitTarget(serverName, address);
    if (explicit !== undefined) return [explicit];
    // Step 3: the delegated name takes the place of the hostname ...
    const delegated = await this.#wellKnown.delegatedName(address.host);
    if (delegated !== undefined) {
      const delegatedAddress = parseServerName(delegated) as ServerAddress;
      // ... steps 3.1 and 3.2 ...
      const delegatedTarget = this.#explicitTarget(delegated, delegatedAddress);
      if (delegatedTarget !== undefined) return [delegatedTarget];
      // ... and steps 3.3 to 3.5.
      return this.#serviceTargets(delegatedAddress.host);
    }
    return this.#serviceTargets(address.host);
  }

  /**
   * Steps 1 and 3.1 (an IP literal: the certificate is for the address) and steps 2 and 3.2 (an
   * explicit port: the certificate is for the hostname). `Host` is the whole name in all of them.
   */
  #explicitTarget(name: string, { kind, host, port }: ServerAddress): HttpTarget | undefined {
    if (kind === 'dns' && port === undefined) return undefined;
    return {
      protocol: 'https:',
      host,
      port: port ?? this.#defaultPort,
      hostHeader: name,
      certificateName: host,
    };
  }

  /** Steps 3.3 to 3.5 for a delegated hostname, steps 4 to 6 for the server's own. */
  async #serviceTargets(hostname: string): Promise<HttpTarget[]> {
    const target = (host: string, port: number): HttpTarget => ({
      protocol: 'https:',
      host,
      port,
      // Whatever the DNS says, it is the hostname that must prove itself.
      hostHeader: hostname,
      certificateName: hostname,
    });
    // Steps 3.3 and 4, then the deprecated 3.4 and 5.
    for (const service of ['_matrix-fed', '_matrix']) {
      // A name server that fails is no reason to give up: the certificate decides who answers.
      const records = await this.#resolver.services(`${service}._tcp.${hostname}`).catch(() => []);
      const usable = records.filter(({ target: name, port }) => !isRoot(name) && port !== 0);
      if (usable.length > 0) {
        return serviceOrder(usable, this.#random)
          .slice(0, MAX_TARGETS)
          .map((record) => target(record.target, record.port));
      }
    }
    // Steps 3.5 and 6.
    return [target(hostname, this.#defaultPort)];
  }
}

/** The target `.` means that the service is not offered. */
const isRoot = (name: string): boolean => name === '' || name === '.';
