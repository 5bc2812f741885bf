/**
 * Who leads: this process, or another that it follows. Decided by the log's lock
 * (storage/log-session.ts) and by nothing here: who gets it leads, everyone else looks up its address
 * in the database and stays with it until it is lost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Connection, type ConnectionHandlers, PeerSilent } from './connection.ts';
import type { ClusterCounts } from './counts.ts';
import { frameKind } from './frame-kinds.ts';
import { encodeFrame } from './frames.ts';
import { HandshakeFailed } from './handshake.ts';
import type { Lead } from './lead.ts';
import { Leading } from './leading.ts';
import type { Member, MemberId, Membership } from './members.ts';
import { type StreamHandlers, StreamReader } from './stream-reader.ts';
import { type ClusterTimings, clusterLimits } from './timings.ts';

/** `seeking`: cut off from the log for the moment; nothing that is remembered can be trusted. */
export type Role = 'leader' | 'member' | 'seeking';

export interface ClusterEvents extends StreamHandlers {
  onRole(role: Role): void;
}

export interface LeadershipOptions {
  readonly counts: ClusterCounts;
  readonly self: () => Member;
  /** Whoever led last, as the database knows it. */
  readonly readLeader: () => Promise<Member | undefined>;
  /** Tries for the lead a short while; nothing where a living process has it. */
  readonly takeLead: () => Promise<Lead | undefined>;
  readonly dialLeader: (leader: Member, handlers: ConnectionHandlers) => Promise<Connection>;
  readonly handle: (method: string, args: unknown, from: MemberId) => unknown;
  readonly events: ClusterEvents;
  readonly timings: ClusterTimings;
  readonly logger: Logger;
}

const leavingFrame = encodeFrame(frameKind.leaving, '');

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #stopping = new AbortController();
  readonly #watchers = new Set<() => void>();
  #role: Role = 'seeking';
  #membership: Membership | undefined;
  #leading: Leading | undefined;
  #following: { readonly connection: Connection; readonly reader: StreamReader } | undefined;
  #lastLeader: MemberId | undefined;
  #giveUp: (() => void) | undefined;
  #isLeaving = false;
  /** Fell silent; is not asked again for a while, because a frozen process still accepts. */
  #suspect: { readonly id: MemberId; readonly untilMs: number } | undefined;

  constructor(options: LeadershipOptions) {
    this.#options = options;
  }

  get role(): Role {
    return this.#role;
  }

  get membership(): Membership | undefined {
    return this.#membership;
  }

  /** While this process holds the lead. */
  get leading(): Leading | undefined {
    return this.#leading;
  }

  /** The connection to the leader, while there is one. */
  get toLeader(): Connection | undefined {
    return this.#following?.connection;
  }

  /** Leads or follows until `stop`. */
  async run(): Promise<void> {
    const { signal } = this.#stopping;
    const { logger, timings } = this.#options;
    while (!signal.aborted) {
      try {
        if (!(await this.#follow()) && !this.#isLeaving) await this.#tryToLead();
      } catch (error) {
        logger.warn({ err: error }, 'this process has no part in the log at present');
      }
      await sleep(timings.pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  stop(): void {
    this.#stopping.abort();
    this.#giveUp?.();
    this.toLeader?.close();
  }

  /** Wants to own nothing any more, now and with every leader to come. */
  leave(): void {
    this.#isLeaving = true;
    this.#leading?.leaving(this.#options.self().id);
    this.toLeader?.post(leavingFrame);
  }

  /** Resolves when this holds; asked whenever role or membership have changed. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const check = () => {
        if (!holds()) return;
        this.#watchers.delete(check);
        resolve();
      };
      this.#watchers.add(check);
      check();
    });
  }

  /** A process wants to follow this one. */
  accept(peer: Member, open: (handlers: ConnectionHandlers) => Connection): void {
    const leading = this.#leading;
    if (leading === undefined) throw new HandshakeFailed('This process does not lead');
    const connection: Connection = open({
      call: (method, args) => this.#options.handle(method, args, peer.id),
      post: (kind) => {
        if (kind === frameKind.leaving) leading.leaving(peer.id);
      },
      closed: (reason) => {
        const { logger } = this.#options;
        logger.info({ member: peer.id, reason: reason?.message }, 'a member has gone');
        leading.left(connection);
      },
    });
    leading.join(connection);
  }

  /** Follows the leader until it is lost. False where there is none to follow. */
  async #follow(): Promise<boolean> {
    const { readLeader, dialLeader, logger, events, self } = this.#options;
    const leader = await readLeader();
    if (leader === undefined || leader.id === self().id || this.#isSuspect(leader.id)) return false;
    const { handlers, ended } = this.#handlers(leader.id);
    try {
      const connection = await dialLeader(leader, handlers);
      const reader = new StreamReader({
        onReset: (position) => {
          this.#setRole('member');
          events.onReset(position);
        },
        onMembership: (membership) => this.#setMembership(membership),
        onStream: (position, writes) => events.onStream(position, writes),
      });
      this.#following = { connection, reader };
      this.#lastLeader = leader.id;
      if (this.#isLeaving) connection.post(leavingFrame);
      if (this.#stopping.signal.aborted) connection.close();
    } catch (error) {
      logger.info({ reason: (error as Error).message }, 'the last leader is not there');
      if (error instanceof HandshakeFailed) this.#beSuspicious(leader.id);
      return false;
    }
    await ended;
    this.#following = undefined;
    this.#setRole('seeking');
    return true;
  }

  async #tryToLead(): Promise<void> {
    const { takeLead, self, timings, logger } = this.#options;
    const lead = await takeLead();
    if (lead === undefined) return;
    const over = new Promise<void>((resolve) => {
      lead.onLost(resolve);
      this.#giveUp = resolve;
    });
    if (this.#stopping.signal.aborted) this.#giveUp?.();
    const before = this.#membership?.members.map(({ id }) => id) ?? [];
    const leading = new Leading({
      counts: this.#options.counts,
      self: self(),
      lead,
      maxUnprovenMs: timings.maxUnprovenMs,
      expected: before.filter((id) => id !== self().id && id !== this.#lastLeader),
      gatherMs: timings.gatherMs,
      maxStreamBytes: clusterLimits.maxStreamBytes,
      onMembership: (membership) => {
        this.#setRole('leader');
        this.#setMembership(membership);
      },
    });
    this.#leading = leading;
    try {
      await lead.announce(self());
      leading.begin();
      this.#lastLeader = self().id;
      await over;
    } finally {
      this.#leading = undefined;
      // First, so that those who are sent off find it free.
      await lead.release().catch((error) => {
        logger.warn({ err: error }, 'the lead was not given back');
      });
      leading.close();
      this.#setRole('seeking');
    }
  }

  #handlers(leader: MemberId): { handlers: ConnectionHandlers; ended: Promise<void> } {
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const handlers: ConnectionHandlers = {
      call: (method, args) => this.#options.handle(method, args, leader),
      post: (kind, payload) => {
        this.#options.counts.streamBytesReceived += payload.length;
        this.#following?.reader.read(kind, payload);
      },
      closed: (reason) => {
        this.#options.logger.warn({ leader, reason: reason?.message }, 'the leader is lost');
        if (reason instanceof PeerSilent) this.#beSuspicious(leader);
        end();
      },
    };
    return { handlers, ended };
  }

  #isSuspect(id: MemberId): boolean {
    return this.#suspect?.id === id && performance.now() < this.#suspect.untilMs;
  }

  #beSuspicious(id: MemberId): void {
    this.#suspect = { id, untilMs: performance.now() + this.#options.timings.suspectMs };
  }

  #setRole(role: Role): void {
    if (role === this.#role) return;
    this.#role = role;
    this.#options.logger.info({ role }, 'part in the cluster');
    this.#options.events.onRole(role);
    this.#changed();
  }

  #setMembership(membership: Membership): void {
    this.#membership = membership;
    this.#options.events.onMembership(membership);
    this.#changed();
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
