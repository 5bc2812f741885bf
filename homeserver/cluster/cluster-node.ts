/**
 * One process of the server among others. All that is told through `ClusterEvents` comes in one
 * order: role, membership, and what the leader writes.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { CallLost, type CallOptions, type Connection } from './connection.ts';
import { noCounts } from './counts.ts';
import type { Lead } from './lead.ts';
import { type ClusterEvents, Leadership, type Role } from './leadership.ts';
import type { StreamWrite } from './leading.ts';
import type { Member, MemberId, Membership } from './members.ts';
import { Peers } from './peers.ts';
import { type ClusterTimings, clusterLimits, clusterTimings } from './timings.ts';
import { dial, Listener, type ListenOptions, type TransportOptions } from './transport.ts';
import { ErrorTranslator, type NamedError } from './travelling-errors.ts';

export interface ClusterOptions {
  readonly serverName: string;
  /** What only processes of this server know; the database keeps it. */
  readonly secret: Buffer;
  readonly listen: ListenOptions;
  /** Whoever led last, as the database knows it. */
  readonly readLeader: () => Promise<Member | undefined>;
  /** Tries for the lead a short while; nothing where a living process has it. */
  readonly takeLead: () => Promise<Lead | undefined>;
  /** Answers calls, those of this process to itself as well. Arguments and result are plain JSON. */
  readonly handle: (method: string, args: unknown, from: MemberId) => unknown;
  readonly events: ClusterEvents;
  /** Classes of errors, besides MatrixError, that callers tell apart. */
  readonly errors?: readonly NamedError[];
  readonly logger: Logger;
  readonly timings?: Partial<ClusterTimings>;
}

const positionMethod = 'cluster.position';

export class ClusterNode {
  readonly id: MemberId = randomBytes(8).toString('hex');
  readonly counts = noCounts();
  readonly #options: ClusterOptions;
  readonly #timings: ClusterTimings;
  readonly #transport: TransportOptions;
  readonly #peers: Peers;
  readonly #leadership: Leadership;
  #listener: Listener | undefined;
  #running: Promise<void> | undefined;
  #asking: Promise<number> | undefined;

  private constructor(options: ClusterOptions) {
    const { logger, events, readLeader, takeLead } = options;
    this.#options = options;
    this.#timings = { ...clusterTimings, ...options.timings };
    const self = (): Member => ({ id: this.id, addresses: this.#listener?.addresses ?? [] });
    const handle = (method: string, args: unknown, from: MemberId) =>
      this.#handle(method, args, from);
    this.#transport = {
      serverName: options.serverName,
      secret: options.secret,
      self,
      handshakeMs: this.#timings.handshakeMs,
      connection: {
        ...clusterLimits,
        ...this.#timings,
        errors: new ErrorTranslator(options.errors),
      },
    };
    this.#peers = new Peers(handle, (member, handlers) =>
      dial(member, 'call', this.#transport, handlers),
    );
    this.#leadership = new Leadership({
      self,
      counts: this.counts,
      readLeader,
      takeLead,
      handle,
      timings: this.#timings,
      logger,
      dialLeader: (leader, handlers) => dial(leader, 'join', this.#transport, handlers),
      events: {
        onRole: (role) => events.onRole(role),
        onReset: (position) => {
          this.counts.resets += 1;
          events.onReset(position);
        },
        onStream: (position, writes) => events.onStream(position, writes),
        onMembership: (membership) => {
          this.counts.membershipChanges += 1;
          this.#peers.keep(membership);
          events.onMembership(membership);
        },
      },
    });
  }

  /** Resolves once this process belongs to the cluster, as its leader or a member. */
  static async start(options: ClusterOptions): Promise<ClusterNode> {
    const node = new ClusterNode(options);
    const leadership = node.#leadership;
    node.#listener = await Listener.open(options.listen, node.#transport, (peer, purpose, open) => {
      if (purpose === 'join') leadership.accept(peer, open);
      else node.#peers.accept(peer, open);
    });
    node.#running = leadership.run();
    await leadership.until(() => leadership.role !== 'seeking');
    return node;
  }

  get role(): Role {
    return this.#leadership.role;
  }

  /** The newest known; of no force while `role` is `seeking`. */
  get membership(): Membership {
    return this.#leadership.membership as Membership;
  }

  /**
   * Calls a member, or whoever leads. Answers of the leader come after everything it had written by
   * then has been followed.
   * @throws {CallLost} when there is no answer, or what `handle` threw over there
   */
  async call(
    to: MemberId | 'leader',
    method: string,
    args: unknown,
    options?: CallOptions,
  ): Promise<unknown> {
    if (to === this.id || (to === 'leader' && this.#leadership.leading !== undefined)) {
      return this.#handle(method, args, this.id);
    }
    this.counts.calls += 1;
    try {
      return await this.#callOther(to, method, args, options);
    } catch (error) {
      if (error instanceof CallLost) this.counts.lostCalls += 1;
      throw error;
    }
  }

  async #callOther(
    to: MemberId | 'leader',
    method: string,
    args: unknown,
    options: CallOptions | undefined,
  ): Promise<unknown> {
    const { leading, toLeader, membership } = this.#leadership;
    const connection: Connection | undefined =
      to === 'leader' || to === toLeader?.peer.id ? toLeader : leading?.connection(to);
    if (connection !== undefined) return connection.call(method, args, options);
    const member = membership?.get(to);
    if (member === undefined) throw new CallLost(`${method}: there is no ${to}`, false);
    return this.#peers.call(member, method, args, options);
  }

  /**
   * Where the log is now; all of that has been followed when this resolves. One question to the leader
   * serves whoever asks in the same turn of the event loop.
   * @throws {CallLost}
   */
  askPosition(): Promise<number> {
    const { leading } = this.#leadership;
    if (leading !== undefined) return leading.position();
    this.#asking ??= new Promise((resolve) => {
      setImmediate(() => {
        // Whoever asks after this may need a newer answer.
        this.#asking = undefined;
        resolve(this.call('leader', positionMethod, null) as Promise<number>);
      });
    });
    return this.#asking;
  }

  /** The leader tells every commit, in order; see `Leading.publish`. Nobody else has anything to tell. */
  publish(after: number, position: number, writes: readonly StreamWrite[]): void {
    this.#leadership.leading?.publish(after, position, writes);
  }

  /** Resolves once this process owns nothing any more, or nobody is there to take it. */
  async leave(): Promise<void> {
    this.#leadership.leave();
    const left = this.#leadership.until(() => {
      const members = this.#leadership.membership?.members ?? [];
      return this.role === 'seeking' || members.length < 2 || !this.#isOwner();
    });
    await Promise.race([left, sleep(this.#timings.leaveMs, undefined, { ref: false })]);
  }

  /** Lets calls under way finish, gives the lead away, and ends every connection. */
  async stop(): Promise<void> {
    this.#leadership.stop();
    await this.#running;
    this.#peers.close();
    this.#listener?.close();
  }

  #isOwner(): boolean {
    return this.#leadership.membership?.get(this.id) !== undefined;
  }

  #handle(method: string, args: unknown, from: MemberId): unknown {
    if (method !== positionMethod) return this.#options.handle(method, args, from);
    const { leading } = this.#leadership;
    if (leading === undefined) throw new CallLost('This process does not lead', false);
    return leading.position();
  }
}
