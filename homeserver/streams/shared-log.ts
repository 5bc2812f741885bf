/**
 * A log that several processes share, as one of them has it. The process that holds the log's lock
 * leads: it writes for all, and tells all. The others follow it. Every change of part begins with
 * memory forgotten, because nobody knows what was written meanwhile.
 */
import type { Logger } from 'pino';
import { type Leader, readLeader, writeLeader } from '../storage/cluster.ts';
import type { Database, Db, Statement } from '../storage/database.ts';
import { logSections } from '../storage/log-sections.ts';
import {
  LogHeld,
  type LogSession,
  type LogSessionOptions,
  LogSessions,
} from '../storage/log-session.ts';
import { ChangingWriter } from './changing-writer.ts';
import { Log } from './log.ts';
import { LogRelay, type RelayedWrite } from './log-relay.ts';
import type { ToldText, WriteText } from './log-text.ts';
import { type LogOptions, SessionWriter } from './log-writer.ts';
import { RemoteWriter } from './remote-writer.ts';

/** What is needed of the cluster, once it runs. */
export interface LogCluster {
  readonly id: string;
  ownerOf(key: string): string | undefined;
  /** Zero while this process has no part in the log. */
  epoch(): number;
  /** Whether a member owns a key, and has since an epoch. */
  hasOwned(member: string, key: string, sinceEpoch: number): boolean;
  askLeader(method: string, args: unknown): Promise<unknown>;
  /** Where the log is for whoever leads. */
  askPosition(): Promise<number>;
  publish(after: number, position: number, writes: readonly RelayedWrite[]): void;
}

/** The right to write the log; see `Lead` in the cluster. */
export interface LogLead {
  readonly term: number;
  readonly position: number;
  provenMs(): number;
  confirm(): Promise<void>;
  atRest(run: () => void): void;
  announce(self: Omit<Leader, 'term'>): Promise<void>;
  onLost(listener: () => void): void;
  release(): Promise<void>;
}

export interface SharedLogDeps {
  readonly database: Database;
  readonly logger: Logger;
  readonly options: LogOptions;
}

/** Of a leader: the others are told when it dies, so it need not be seen to live in the database. */
const leaderSession: LogSessionOptions = { heartbeatMs: 1_000, maxSilentMs: 3_000, waitMs: 50 };

/** A leader that fell silent is replaced later. */
const surelyLeadsMs = 2_000;

export const writeMethod = 'log.write';

export class SharedLog {
  readonly log: Log;
  readonly #deps: SharedLogDeps;
  readonly #sessions: LogSessions;
  readonly #writer = new ChangingWriter();
  readonly #relay: LogRelay;
  #cluster: LogCluster | undefined;
  /** That of a leader, from the moment it has the lock. */
  #leading: { readonly writer: SessionWriter; readonly position: number } | undefined;
  #following: RemoteWriter | undefined;
  #isLeading = false;

  constructor(deps: SharedLogDeps) {
    this.#deps = deps;
    this.#sessions = new LogSessions(deps.database, deps.logger, {
      ...deps.options.session,
      ...leaderSession,
    });
    this.log = Log.following(
      0,
      () => this.#writer,
      () => this.#askPosition(),
    );
    this.#relay = new LogRelay({
      log: this.log,
      sections: logSections,
      mayWrite: (member, roomId, sinceEpoch) =>
        this.#cluster?.hasOwned(member, roomId, sinceEpoch) === true,
      leads: () => this.#isLeading,
      publish: (after, position, writes) => this.#cluster?.publish(after, position, writes),
    });
  }

  /** To be called before this process has a part in the log. */
  connect(cluster: LogCluster): void {
    this.#cluster = cluster;
  }

  /** Undefined where another process has it. */
  async takeLead(): Promise<LogLead | undefined> {
    const session = await this.#openSession();
    if (session === undefined) return undefined;
    const db = {
      query: (statement: Statement) => session.client.query(statement as never),
    } as unknown as Db;
    const { logger, options } = this.#deps;
    let lose: () => void = () => undefined;
    const writer = new SessionWriter({
      session,
      sessions: { open: () => Promise.reject(new Error('This process leads no more')) },
      memory: this.log,
      logger,
      options: {
        ...options,
        session: leaderSession,
        owns: (key) =>
          this.#cluster !== undefined && this.#cluster.ownerOf(key) === this.#cluster.id,
      },
      onLost: () => lose(),
    });
    try {
      const term = ((await readLeader(db))?.term ?? 0) + 1;
      const position = await session.position();
      this.#leading = { writer, position };
      return {
        term,
        position,
        provenMs: () => writer.provenMs,
        confirm: () => writer.confirm(),
        atRest: (run) => writer.atRest(run),
        announce: (self) => writeLeader(db, { ...self, term }),
        onLost: (listener) => {
          lose = listener;
          if (!writer.isOpen) listener();
        },
        release: async () => {
          this.#leading = undefined;
          await writer.close();
        },
      };
    } catch (error) {
      await writer.close();
      throw error;
    }
  }

  onRole(role: 'leader' | 'member' | 'seeking'): void {
    this.#following?.lose('The leader of the log is lost');
    this.#following = undefined;
    this.#isLeading = role === 'leader';
    this.#writer.become(undefined);
    this.log.lose();
    if (role === 'leader') this.#lead();
    else if (role === 'member') this.#follow();
  }

  /** This process follows from here on, and has missed what was before. */
  onReset(position: number): void {
    this.log.lose();
    this.log.advance(position);
  }

  onStream(position: number, writes: readonly unknown[]): void {
    this.#following?.follow(position, writes as ToldText[]);
  }

  onMembers(ids: Iterable<string>): void {
    this.#relay.keep(new Set(ids));
  }

  /** A member asks for what the leader does. */
  write(member: string, write: unknown): Promise<void> {
    return this.#relay.write(member, write as WriteText);
  }

  /** A leader that has written a moment ago need not ask itself. */
  #askPosition(): Promise<number> | undefined {
    const writer = this.#isLeading ? this.#leading?.writer : undefined;
    if (writer !== undefined && performance.now() - writer.provenMs < surelyLeadsMs) {
      return undefined;
    }
    return this.#cluster?.askPosition() ?? Promise.reject(new Error('There is no cluster yet'));
  }

  async #openSession(): Promise<LogSession | undefined> {
    try {
      return await this.#sessions.open();
    } catch (error) {
      if (error instanceof LogHeld) return undefined;
      throw error;
    }
  }

  #lead(): void {
    if (this.#leading === undefined) throw new Error('This process has no right to lead');
    const { writer, position } = this.#leading;
    this.log.advance(position);
    this.#writer.become(writer);
  }

  #follow(): void {
    this.#following = new RemoteWriter({
      memory: this.log,
      sections: logSections,
      epoch: () => this.#cluster?.epoch() ?? 0,
      askLeader: (write) => {
        if (this.#cluster === undefined) throw new Error('There is no cluster yet');
        return this.#cluster.askLeader(writeMethod, write);
      },
    });
    this.#writer.become(this.#following);
  }
}
