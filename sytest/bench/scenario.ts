/** What a scenario is, and the world it runs in: a server, a ceiling and people with accounts. */
import type { Authority } from '../lib/authority.ts';
import { Peer } from '../lib/peer/peer.ts';
import type { ServerAddress } from '../lib/server.ts';
import type { Ceiling } from './ceiling-process.ts';
import { inParallel } from './measure.ts';
import { type Person, type Registrar, register } from './person.ts';
import { type RemoteServer, startRemoteServers } from './remote-servers.ts';
import type { RunningServer } from './server-process.ts';

export interface Bar {
  /** What is judged, as a reader of the table should name it. */
  readonly of: string;
  /** Which of the outcome's details that is; its unit is the bar's. */
  readonly detail: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly unit: string;
}

export interface Outcome {
  /** The figure as a person reads it. */
  readonly figure: string;
  /** Everything measured, for the JSON report; units are in the names. */
  readonly details: Readonly<Record<string, number>>;
}

export interface Scenario {
  readonly name: string;
  /** One line: what is done and what is timed. */
  readonly measures: string;
  readonly bars?: readonly Bar[];
  /** What else two checkouts are compared by, beside what the bars judge. */
  readonly compared?: readonly Compared[];
  /** @throws when the server does not do what it should: a fast wrong answer is no figure. */
  run(world: World): Promise<Outcome>;
}

/** A detail of the outcome that says whether one checkout is better than another. */
export interface Compared {
  readonly detail: string;
  readonly better: 'higher' | 'lower';
}

export const meetsBar = ({ atLeast, atMost }: Bar, value: number): boolean =>
  value >= (atLeast ?? -Infinity) && value <= (atMost ?? Infinity);

/** The scenario cannot run in this world (a figure of a process whose id is not known). */
export class NotApplicable extends Error {}

export interface WorldOptions {
  readonly registrar: Registrar;
  /** The process of a server that somebody else has started, where known. */
  readonly pid: number | undefined;
  /** The server, where this program has started it. */
  readonly server: RunningServer | undefined;
  readonly ceiling: Ceiling;
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
  readonly ceiling: Ceiling;
  readonly seconds: number;
  readonly warmUpSeconds = 1;
  readonly #registrar: Registrar;
  readonly #people: Person[] = [];
  readonly #everyone: Person[] = [];
  readonly #server: RunningServer | undefined;
  readonly #pid: number | undefined;
  readonly #peers: Peer[] = [];
  readonly #remoteServers: RemoteServer[] = [];
  /** Names differ between runs against the same server. */
  readonly #run = Date.now().toString(36);

  constructor({ registrar, pid, server, ceiling, seconds }: WorldOptions) {
    this.url = registrar.url;
    this.#registrar = registrar;
    this.#pid = pid;
    this.#server = server;
    this.ceiling = ceiling;
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

  /** The server's process, where known: another one after a restart. */
  get pid(): number | undefined {
    return this.#server?.pid ?? this.#pid;
  }

  /** Processor time of its PostgreSQL so far; undefined where it is not known. */
  async databaseCpuSeconds(): Promise<number | undefined> {
    return this.#server?.databaseCpuSeconds();
  }

  /** @throws NotApplicable for a target, which is not ours to restart or to look into */
  get server(): RunningServer {
    if (this.#server === undefined) throw new NotApplicable('a --target is not ours to restart');
    return this.#server;
  }

  /** @throws NotApplicable for a target that cannot be made to trust other servers */
  get federation(): FederationSite {
    if (this.#server === undefined) {
      throw new NotApplicable(
        'a --target does not trust the certificates of other servers made here',
      );
    }
    return this.#server;
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
