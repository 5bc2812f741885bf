/**
 * What only the leader does: it numbers the epochs, and tells every member, in one order, who is there
 * and what was written. Lives as long as the leadership of one process.
 */
import type { Connection } from './connection.ts';
import type { ClusterCounts } from './counts.ts';
import { frameKind } from './frame-kinds.ts';
import { encodeFrame } from './frames.ts';
import type { Lead } from './lead.ts';
import { type Member, type MemberId, Membership } from './members.ts';

/** Something written, as it is told. Plain JSON; what it means is up to the log. */
export interface StreamWrite {
  /** Whom it came from, who knows `body` and is told `receipt` instead. */
  readonly origin?: MemberId;
  readonly body: unknown;
  readonly receipt?: unknown;
}

export interface LeadingOptions {
  readonly counts: Pick<ClusterCounts, 'streamBytesSent'>;
  readonly self: Member;
  readonly lead: Pick<Lead, 'term' | 'position' | 'provenMs' | 'confirm' | 'atRest'>;
  /** Whoever has not proved to lead for so long may have been replaced. */
  readonly maxUnprovenMs: number;
  /** Who belonged here before, and is waited for before the first epoch. */
  readonly expected: readonly MemberId[];
  readonly gatherMs: number;
  /** More bytes of writes than this are told as a reset. */
  readonly maxStreamBytes: number;
  readonly onMembership: (membership: Membership) => void;
}

/** Followers are to look for the next leader; what they have asked will not be answered any more. */
const closeMs = 500;
/** Changes of membership in one term. */
const epochsPerTerm = 2 ** 24;

export class Leading {
  readonly #options: LeadingOptions;
  /** Connected, whether told of the stream yet or not. */
  readonly #connected = new Map<MemberId, Connection>();
  readonly #welcomed = new Set<Connection>();
  /** Connected, but to own nothing any more. */
  readonly #leaving = new Set<MemberId>();
  readonly #expected: Set<MemberId>;
  #gathering: NodeJS.Timeout | undefined;
  #hasBegun = false;
  #epoch: number;
  #position: number;
  #isChangeDue = false;
  #isGathered = false;
  #isClosed = false;

  constructor(options: LeadingOptions) {
    this.#options = options;
    this.#epoch = options.lead.term * epochsPerTerm;
    this.#position = options.lead.position;
    this.#expected = new Set(options.expected);
  }

  /** Begins the first epoch once those who were there before have come, or have had their time. */
  begin(): void {
    if (this.#expected.size === 0) this.#gathered();
    else this.#gathering = setTimeout(() => this.#gathered(), this.#options.gatherMs);
    this.#hasBegun = true;
  }

  /**
   * Where the log is: nothing has been acknowledged beyond it when this was asked.
   * @throws when this process, unknowingly so far, leads no more
   */
  async position(): Promise<number> {
    const { lead, maxUnprovenMs } = this.#options;
    // A process that stood still, or is cut off from the database, may have been replaced.
    if (performance.now() - lead.provenMs() > maxUnprovenMs) await lead.confirm();
    return this.#position;
  }

  /** Takes a member in; it belongs to an epoch soon after. */
  join(connection: Connection): void {
    const { id } = connection.peer;
    // It was cut off and is here again before that was noticed.
    this.#connected.get(id)?.destroy(new Error('Connected anew'));
    this.#connected.set(id, connection);
    this.#leaving.delete(id);
    this.#expected.delete(id);
    if (this.#hasBegun && !this.#isGathered && this.#expected.size === 0) this.#gathered();
    else this.#change();
  }

  /** A member's connection has gone. */
  left(connection: Connection): void {
    const { id } = connection.peer;
    this.#welcomed.delete(connection);
    if (this.#connected.get(id) !== connection) return;
    this.#connected.delete(id);
    this.#leaving.delete(id);
    this.#change();
  }

  leaving(id: MemberId): void {
    this.#leaving.add(id);
    this.#change();
  }

  connection(id: MemberId): Connection | undefined {
    return this.#connected.get(id);
  }

  /** Tells what was written from `after` on up to `position`; to be called for every commit, in order. */
  publish(after: number, position: number, writes: readonly StreamWrite[]): void {
    this.#position = position;
    if (this.#welcomed.size === 0) return;
    const whole = writes.map(({ body }) => JSON.stringify(body));
    const origins = new Set(writes.map(({ origin }) => origin));
    let common: Buffer | undefined;
    for (const connection of this.#welcomed) {
      const { id } = connection.peer;
      if (origins.has(id)) {
        const own = writes.map(({ origin, receipt }, at) =>
          origin === id ? JSON.stringify(receipt ?? null) : (whole[at] as string),
        );
        this.#send(connection, this.#streamFrame(after, position, own));
      } else {
        common ??= this.#streamFrame(after, position, whole);
        this.#send(connection, common);
      }
    }
  }

  /** Sends everyone off, to look for the next leader. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#gathering);
    for (const connection of this.#connected.values()) connection.close(closeMs);
  }

  #send(connection: Connection, frame: Buffer): void {
    this.#options.counts.streamBytesSent += frame.length;
    connection.post(frame);
  }

  #streamFrame(after: number, position: number, writes: readonly string[]): Buffer {
    const text = `[${after},${position},[${writes.join(',')}]]`;
    return text.length > this.#options.maxStreamBytes
      ? encodeFrame(frameKind.reset, JSON.stringify([position]))
      : encodeFrame(frameKind.stream, text);
  }

  #gathered(): void {
    if (this.#isGathered) return;
    this.#isGathered = true;
    clearTimeout(this.#gathering);
    this.#change();
  }

  /** All that come and go in one turn of the event loop make one epoch. */
  #change(): void {
    if (this.#isChangeDue || !this.#isGathered) return;
    this.#isChangeDue = true;
    const announce = (): void => {
      this.#isChangeDue = false;
      if (!this.#isClosed) this.#announce();
    };
    setImmediate(() => this.#options.lead.atRest(announce));
  }

  #announce(): void {
    this.#epoch += 1;
    const { self } = this.#options;
    const members = [self];
    for (const [id, { peer }] of this.#connected) if (!this.#leaving.has(id)) members.push(peer);
    if (this.#leaving.has(self.id) && members.length > 1) members.shift();
    const membership = new Membership(this.#epoch, members);
    const change = encodeFrame(frameKind.membership, JSON.stringify([this.#epoch, members]));
    for (const connection of this.#welcomed) connection.post(change);
    let welcome: Buffer | undefined;
    for (const connection of this.#connected.values()) {
      if (this.#welcomed.has(connection)) continue;
      this.#welcomed.add(connection);
      welcome ??= encodeFrame(
        frameKind.welcome,
        JSON.stringify([this.#position, this.#epoch, members]),
      );
      connection.post(welcome);
    }
    this.#options.onMembership(membership);
  }
}
