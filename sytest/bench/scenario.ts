/** What a scenario is, and the world it runs in: a server, a ceiling and people with accounts. */
import type { Authority } from '../lib/authority.ts';
import { Peer } from '../lib/peer/peer.ts';
import type { ServerAddress } from '../lib/server.ts';
import type { Ceiling } from './ceiling-process.ts';
import { inParallel } from './measure.ts';
import { type Person, type Registrar, register } from './person.ts';
import { type RemoteServer, startRemoteServers } from './remote-servers.ts';

export interface Bar {
  /** What is judged, as a reader of the table should name it. */
  readonly of: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly unit: string;
}

export interface Outcome {
  /** The figure as a person reads it. */
  readonly figure: string;
  /** The value the bar judges, in the bar's unit. */
  readonly judged?: number;
  /** Everything measured, for the JSON report; units are in the names. */
  readonly details: Readonly<Record<string, number>>;
}

export interface Scenario {
  readonly name: string;
  /** One line: what is done and what is timed. */
  readonly measures: string;
  readonly bar?: Bar;
  /** @throws when the server does not do what it should: a fast wrong answer is no figure. */
  run(world: World): Promise<Outcome>;
}

export const meetsBar = ({ atLeast, atMost }: Bar, value: number): boolean =>
  value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);

/** The scenario cannot run in this world (a figure of a process whose id is not known). */
export class NotApplicable extends Error {}

export interface WorldOptions {
  readonly registrar: Registrar;
  /** The server's process, where known. */
  readonly pid: number | undefined;
  readonly ceiling: Ceiling;
  /** Absent for a server whose trust in certificates is not ours to give. */
  readonly federation: FederationSite | undefined;
  readonly seconds: number;
}

/** What other servers need to speak with the one under test. */
export interface FederationSite {
  readonly server: ServerAddress;
  readonly authority: Authority;
}

const REGISTRATIONS_AT_A_TIME = 8;

export class World {
  readonly url: URL;
  readonly pid: number | undefined;
  readonly ceiling: Ceiling;
  readonly seconds: number;
  readonly warmUpSeconds = 1;
  readonly #registrar: Registrar;
  readonly #people: Person[] = [];
  readonly #everyone: Person[] = [];
  readonly #federation: FederationSite | undefined;
  readonly #peers: Peer[] = [];
  readonly #remoteServers: RemoteServer[] = [];
  /** Names differ between runs against the same server. */
  readonly #run = Date.now().toString(36);

  constructor({ registrar, pid, ceiling, federation, seconds }: WorldOptions) {
    this.url = registrar.url;
    this.#registrar = registrar;
    this.pid = pid;
    this.ceiling = ceiling;
    this.#federation = federation;
    this.seconds = seconds;
  }

  /** The first `count` people, who are shared by all scenarios. */
  async people(count: number): Promise<Person[]> {
    const missing = count - this.#people.length;
    if (missing > 0) this.#people.push(...(await this.newPeople(missing)));
    return this.#people.slice(0, count);
  }

  /** People who are in no room yet. */
  async newPeople(count: number): Promise<Person[]> {
    const first = this.#everyone.length;
    const names = Array.from({ length: count }, (_, index) => `b${this.#run}-${first + index}`);
    const people = await inParallel(names, REGISTRATIONS_AT_A_TIME, (name) =>
      register(this.#registrar, name),
    );
    this.#everyone.push(...people);
    return people;
  }

  /** @throws NotApplicable for a target that cannot be made to trust other servers */
  get federation(): FederationSite {
    if (this.#federation === undefined) {
      throw new NotApplicable(
        'a --target does not trust the certificates of other servers made here',
      );
    }
    return this.#federation;
  }

  /** Another homeserver, which lives as long as this world. */
  async newPeer(): Promise<Peer> {
    const peer = await Peer.start(this.federation.authority);
    this.#peers.push(peer);
    return peer;
  }

  /** Like a peer, but many. A port that was free again would be another server of the same name. */
  async newRemoteServers(count: number): Promise<RemoteServer[]> {
    const servers = await startRemoteServers(this.federation.authority, count);
    this.#remoteServers.push(...servers);
    return servers;
  }

  async close(): Promise<void> {
    for (const person of this.#everyone) person.close();
    for (const server of this.#remoteServers) server.close();
    await Promise.all(this.#peers.map((peer) => peer.stop()));
  }
}
