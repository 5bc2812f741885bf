/**
 * A room in memory: what its one writer needs to accept the next event without reading the
 * database, and the newest part of its timeline for readers.
 *
 * `extremities`, `state`, the member counts and `nextDepth` run ahead of the log: they include events
 * that are being committed, and only the writer builds on them. `committed` and `recent` follow the
 * log: they are for readers.
 */
import type { MatrixEvent, StateKey } from '../../spec/event.ts';
import { stateKeyOf } from '../../spec/event.ts';
import {
  type EventId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import { freshGround, type LogGround } from '../streams/log-writer.ts';
import { RecentTimeline } from './recent-timeline.ts';
import { RoomView } from './room-view.ts';
import type { Removed, StateRef, StateSnapshot } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';

export interface LiveRoomInit {
  readonly nid: number;
  readonly id: RoomId;
  readonly rules: RoomVersionRules;
  /** Undefined only while the room's first events are being made. */
  readonly extremities: readonly StoredEvent[];
  readonly state: StateSnapshot;
  readonly localServer: ServerName;
  /** The log position at which this was loaded. */
  readonly position: number;
  /** Redactions that wait for their target: target event id to redactions. */
  readonly unappliedRedactions: ReadonlyMap<string, readonly number[]>;
  /**
   * Backward extremities: events that prev_events name and this server does not have, and whether an
   * accepted event names them.
   */
  readonly missingPrevEvents?: ReadonlyMap<EventId, boolean>;
}

const memberPrefix = stateKeyOf('m.room.member', '');

/** The user id of a member entry's key, or undefined for other keys. */
export const memberOfKey = (key: StateKey): UserId | undefined =>
  key.startsWith(memberPrefix) ? (key.slice(memberPrefix.length) as UserId) : undefined;

export class LiveRoom {
  readonly nid: number;
  readonly id: RoomId;
  readonly rules: RoomVersionRules;
  readonly localServer: ServerName;
  readonly recent: RecentTimeline;
  readonly unappliedRedactions: Map<string, number[]>;
  readonly missingPrevEvents: Map<EventId, boolean>;
  extremities: readonly StoredEvent[];
  /** The room with everything appended. */
  ahead: RoomView;
  /** The room as of the last commit. */
  committed: RoomView;
  /** A write failed: memory may be wrong, and whoever holds this must load the room anew. */
  dead = false;
  /** Other servers in the room as of the last commit. */
  committedServers: ReadonlySet<ServerName>;
  /** For writes that build on what is in memory here. */
  readonly ground: LogGround;
  /** When this was last asked for, as the registry counts. */
  lastUse = 0;
  /** The newest write. */
  lastWrite: Promise<void> = Promise.resolve();
  /** Writes on their way to the log; a room with any is not dropped from memory. */
  pendingWrites = 0;

  readonly #joinedLocal = new Set<UserId>();
  readonly #joinedByServer = new Map<ServerName, number>();
  readonly #invitedByServer = new Map<ServerName, number>();
  #joined = 0;
  #invited = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;

  constructor(init: LiveRoomInit) {
    this.nid = init.nid;
    this.id = init.id;
    this.rules = init.rules;
    this.ground = freshGround(init.id);
    this.localServer = init.localServer;
    this.extremities = init.extremities;
    this.recent = new RecentTimeline(init.position);
    this.unappliedRedactions = new Map(
      [...init.unappliedRedactions].map(([id, nids]) => [id, [...nids]]),
    );
    this.missingPrevEvents = new Map(init.missingPrevEvents);
    for (const [key, ref] of init.state.entries()) {
      const user = memberOfKey(key);
      if (user !== undefined) this.#count(user, undefined, ref.membership);
    }
    this.ahead = new RoomView(init.state, this.#joined, this.#invited);
    this.committed = this.ahead;
    const servers = this.joinedServers;
    this.committedServers = new Set([...servers].filter((server) => server !== init.localServer));
  }

  /** One writer at a time, in the order asked; at once when nobody else is writing. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const isFree = this.#queued === 0;
    this.#queued += 1;
    const turn = isFree ? started(work) : this.#tail.then(work);
    this.#tail = turn.then(this.#done, this.#done);
    return turn;
  }

  readonly #done = (): void => {
    this.#queued -= 1;
  };

  get busy(): boolean {
    return this.pendingWrites > 0 || this.#queued > 0;
  }

  /**
   * Resolves when what `state` says now is in the database. Whoever answers from it, because nothing
   * is to be written, waits for this first. @throws {LogWriteFailed} where it never will be
   */
  durable(): Promise<void> {
    return this.lastWrite;
  }

  /** The depth of the next event. */
  get nextDepth(): number {
    let depth = 0;
    for (const { event } of this.extremities) depth = Math.max(depth, event.depth);
    return Math.min(depth + 1, Number.MAX_SAFE_INTEGER);
  }

  get state(): StateSnapshot {
    return this.ahead.state;
  }

  /** An event that is stored names one that this server does not have. */
  lacks(eventId: EventId, isNamedByAccepted: boolean): void {
    const before = this.missingPrevEvents.get(eventId) ?? false;
    this.missingPrevEvents.set(eventId, before || isNamedByAccepted);
  }

  stateRef(type: string, stateKey: string): StateRef | undefined {
    return this.ahead.stateRef(type, stateKey);
  }

  membership(user: UserId): string | undefined {
    return this.ahead.membership(user);
  }

  get joinedLocalUsers(): ReadonlySet<UserId> {
    return this.#joinedLocal;
  }

  get joinedCount(): number {
    return this.#joined;
  }

  get invitedCount(): number {
    return this.#invited;
  }

  /** Servers with a joined member, this one included when it has one. */
  get joinedServers(): ReadonlySet<ServerName> {
    return new Set(this.#joinedByServer.keys());
  }

  hasJoinedServer(server: ServerName): boolean {
    return this.#joinedByServer.has(server);
  }

  /** Whether someone of the server is invited, and has not answered yet. */
  hasInvitedServer(server: ServerName): boolean {
    return this.#invitedByServer.has(server);
  }

  /**
   * Moves the current state; membership counts follow.
   * @returns other servers whose first member has come or whose last one has gone
   */
  moveTo(
    state: StateSnapshot,
    changes: ReadonlyMap<StateKey, StateRef | Removed>,
  ): { server: ServerName; joined: boolean }[] {
    const touched = new Map<ServerName, boolean>();
    for (const [key, after] of changes) {
      const user = memberOfKey(key);
      if (user === undefined) continue;
      const server = serverNameOf(user);
      if (!touched.has(server)) touched.set(server, this.#joinedByServer.has(server));
      const before = this.state.get(key)?.membership;
      this.#count(user, before, 'removedNid' in after ? undefined : after.membership);
    }
    this.ahead = new RoomView(state, this.#joined, this.#invited);
    const servers: { server: ServerName; joined: boolean }[] = [];
    for (const [server, before] of touched) {
      const joined = this.#joinedByServer.has(server);
      if (joined !== before && server !== this.localServer) servers.push({ server, joined });
    }
    return servers;
  }

  #count(user: UserId, before: string | undefined, after: string | undefined): void {
    if (before === after) return;
    if (before === 'invite') this.#countInvited(user, -1);
    if (after === 'invite') this.#countInvited(user, 1);
    if (before === 'join') this.#countJoined(user, -1);
    if (after === 'join') this.#countJoined(user, 1);
  }

  #countInvited(user: UserId, by: 1 | -1): void {
    addTo(this.#invitedByServer, serverNameOf(user), by);
    this.#invited += by;
  }

  #countJoined(user: UserId, by: 1 | -1): void {
    const server = serverNameOf(user);
    addTo(this.#joinedByServer, server, by);
    this.#joined += by;
    if (server !== this.localServer) return;
    if (by > 0) this.#joinedLocal.add(user);
    else this.#joinedLocal.delete(user);
  }
}

/** What counts nothing is not in the map. */
const addTo = (counts: Map<ServerName, number>, server: ServerName, by: 1 | -1): void => {
  const count = (counts.get(server) ?? 0) + by;
  if (count > 0) counts.set(server, count);
  else counts.delete(server);
};

const started = <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return work();
  } catch (error) {
    return Promise.reject(error);
  }
};

/** Whether an event counts in the timeline and for the forward extremities. */
export const isAccepted = (stored: Pick<StoredEvent, 'rejectedReason' | 'softFailed'>): boolean =>
  stored.rejectedReason === undefined && !stored.softFailed;

export const isStateEvent = (event: MatrixEvent): boolean => event.stateKey !== undefined;
