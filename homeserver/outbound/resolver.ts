/**
 * Names to addresses and services. Asks DNS servers itself, on the event loop: the system's own
 * look-up would occupy a thread of the small pool that password hashing and files share, so a few
 * silent name servers could stop the whole process.
 */
import { Resolver as DnsClient } from 'node:dns/promises';
import { LRUCache } from 'lru-cache';
import { type Clock, systemClock } from '../clock.ts';
import { HostsFile } from './hosts-file.ts';

/** https://www.rfc-editor.org/rfc/rfc2782 */
export interface ServiceRecord {
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** A name that could not be resolved; `notFound` when the DNS said so, rather than not answering. */
export class DnsFailure extends Error {
  override readonly name = 'DnsFailure';
  readonly notFound: boolean;

  constructor(message: string, notFound: boolean) {
    super(message);
    this.notFound = notFound;
  }
}

export interface Resolver {
  /** IPv6 and IPv4 addresses, aliases followed; never empty. @throws {DnsFailure} */
  addresses(hostname: string): Promise<readonly string[]>;
  /** SRV records in no particular order; empty when there are none. @throws {DnsFailure} */
  services(name: string): Promise<readonly ServiceRecord[]>;
}

export interface DnsResolverOptions {
  /** `address` or `address:port` of the name servers; the system's own by default. */
  readonly servers?: readonly string[];
  /** For one query to one server; two tries are made. */
  readonly timeoutMs?: number;
  readonly hostsFile?: string;
  readonly clock?: Clock;
}

/** Records are kept for as long as they say, within these bounds. */
const MIN_CACHE_MS = 10_000;
const MAX_CACHE_MS = 60 * 60_000;
/** The records' own lifetime is not known for SRV. */
const SERVICE_CACHE_MS = 5 * 60_000;
const FAILURE_CACHE_MS = 30_000;
const MAX_CACHED_NAMES = 20_000;
/** A hostile zone may list as many as fit into a message. */
const MAX_ADDRESSES = 16;
const MAX_SERVICES = 32;

interface Cached<T> {
  readonly answer: Promise<T>;
  /** Unset while the query is under way. */
  expiresAtMs: number;
}

const ABSENT = new Set(['ENOTFOUND', 'ENODATA']);
const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unknown error';

export class DnsResolver implements Resolver {
  readonly #client: DnsClient;
  readonly #hosts: HostsFile;
  readonly #clock: Clock;
  readonly #addresses = new LRUCache<string, Cached<readonly string[]>>({ max: MAX_CACHED_NAMES });
  readonly #services = new LRUCache<string, Cached<readonly ServiceRecord[]>>({
    max: MAX_CACHED_NAMES,
  });

  constructor({
    servers,
    timeoutMs = 5000,
    hostsFile = '/etc/hosts',
    clock = systemClock,
  }: DnsResolverOptions = {}) {
    this.#client = new DnsClient({ timeout: timeoutMs, tries: 2 });
    if (servers !== undefined) this.#client.setServers(servers);
    this.#hosts = new HostsFile(hostsFile, clock);
    this.#clock = clock;
  }

  addresses(hostname: string): Promise<readonly string[]> {
    return this.#cached(this.#addresses, hostname, () => this.#findAddresses(hostname));
  }

  services(name: string): Promise<readonly ServiceRecord[]> {
    return this.#cached(this.#services, name, () => this.#findServices(name));
  }

  #cached<T>(
    cache: LRUCache<string, Cached<T>>,
    name: string,
    find: () => Promise<{ value: T; forMs: number }>,
  ): Promise<T> {
    const known = cache.get(name);
    if (known !== undefined && this.#clock.nowMs() < known.expiresAtMs) return known.answer;
    const found = find();
    const entry: Cached<T> = {
      answer: found.then(({ value }) => value),
      expiresAtMs: Number.POSITIVE_INFINITY,
    };
    cache.set(name, entry);
    found.then(
      ({ forMs }) => {
        entry.expiresAtMs = this.#clock.nowMs() + forMs;
      },
      () => {
        entry.expiresAtMs = this.#clock.nowMs() + FAILURE_CACHE_MS;
      },
    );
    return entry.answer;
  }

  async #findAddresses(hostname: string): Promise<{ value: readonly string[]; forMs: number }> {
    const listed = await this.#hosts.addresses(hostname);
    if (listed.length > 0) return { value: listed, forMs: MIN_CACHE_MS };
    const answers = await Promise.allSettled([
      this.#client.resolve6(hostname, { ttl: true }),
      this.#client.resolve4(hostname, { ttl: true }),
    ]);
    const records = answers.flatMap((answer) => {
      return answer.status === 'fulfilled' ? answer.value.slice(0, MAX_ADDRESSES) : [];
    });
    if (records.length === 0) {
      const codes = answers.map((answer) =>
        answer.status === 'rejected' ? codeOf(answer.reason) : 'ENODATA',
      );
      throw new DnsFailure(
        `${hostname} has no address: ${codes.join(', ')}`,
        codes.every((code) => ABSENT.has(code)),
      );
    }
    const ttlMs = Math.min(...records.map(({ ttl }) => ttl)) * 1000;
    return {
      value: records.map(({ address }) => address),
      forMs: Math.min(Math.max(ttlMs, MIN_CACHE_MS), MAX_CACHE_MS),
    };
  }

  async #findServices(name: string): Promise<{ value: readonly ServiceRecord[]; forMs: number }> {
    try {
      const records = await this.#client.resolveSrv(name);
      const value = records
        .slice(0, MAX_SERVICES)
        .map(({ name: target, port, priority, weight }) => ({ target, port, priority, weight }));
      return { value, forMs: SERVICE_CACHE_MS };
    } catch (error) {
      if (ABSENT.has(codeOf(error))) return { value: [], forMs: SERVICE_CACHE_MS };
      throw new DnsFailure(`${name}: ${codeOf(error)}`, false);
    }
  }
}
