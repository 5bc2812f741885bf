/**
 * The long poll: reads every stream from the client's token to the present, and waits for more
 * where there is nothing. https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
import type { Filter } from '../../spec/filter.ts';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { FairSlots } from '../fair-slots.ts';
import type { UserRoom, UserRooms } from '../rooms/user-rooms.ts';
import type { Log } from '../streams/log.ts';
import type { Notifier } from '../streams/notifier.ts';
import { turns } from '../turns.ts';
import { type StateAfterName, SyncResponse } from './response.ts';
import type { SyncContext, SyncStream } from './sync-stream.ts';
import { formatSyncToken, type SyncToken } from './tokens.ts';

export interface SyncRequest {
  readonly userId: UserId;
  readonly deviceId: DeviceId | undefined;
  readonly filter: Filter;
  readonly since: SyncToken | undefined;
  readonly fullState: boolean;
  readonly useStateAfter: boolean;
  /** The stable name where it is not given. */
  readonly stateAfterName?: StateAfterName;
  /** How long to wait for news; 0 answers at once. */
  readonly timeoutMs: number;
  /** Aborted when the client goes away: the wait ends. */
  readonly signal?: AbortSignal | undefined;
}

export interface SyncDeps {
  readonly log: Log;
  readonly notifier: Notifier;
  readonly userRooms: UserRooms;
  readonly clock: Clock;
  /** Every stream, rooms first. */
  readonly streams: readonly SyncStream[];
  /** The present of the streams that do not go through the log. */
  readonly ephemeralSerials: () => Pick<SyncToken, 'typing' | 'presence'>;
  readonly ignoredUsers: (userId: UserId) => ReadonlySet<UserId> | Promise<ReadonlySet<UserId>>;
  /**
   * The nids of rooms with events or receipts after a position; undefined when there are too many to
   * be worth a list, or they are not known.
   */
  readonly roomsChangedAfter: (
    position: number,
    maxChanges: number,
  ) => ReadonlySet<number> | undefined;
  /** Whether memory reaches back to a position, so that reading from there is cheap. */
  readonly isInMemory: (position: number) => boolean;
}

/** A wait beyond this is cut short: proxies drop idle connections, and clients ask again anyway. */
const maxTimeoutMs = 120_000;

const nothing = {};

const hasNews = (response: SyncResponse): boolean => !response.canWait;
const hasTimeline = (response: SyncResponse): boolean => response.hasTimeline;

/** Less than half of the database connections that there are unless fewer are asked for. */
const maxColdReads = 8;
/** Of people whose token memory reaches back to: most of what they need is shared or asked together. */
const maxFirstReads = 16;

/** Who waits here has a connection open, and those are bounded: nobody is turned away. */
const places = (maxRunning: number): FairSlots =>
  new FairSlots({
    maxRunning,
    maxWaiting: Number.POSITIVE_INFINITY,
    maxWaitingPerKey: Number.POSITIVE_INFINITY,
  });

export class Sync {
  readonly #deps: SyncDeps;
  /** The rooms of users who have been read for since these came into memory: so has the rest. */
  readonly #readBefore = new WeakSet<object>();
  readonly #coldReads = places(maxColdReads);
  readonly #firstReads = places(maxFirstReads);
  readonly #turn = turns();

  constructor(deps: SyncDeps) {
    this.#deps = deps;
  }

  /** The token of a client that has read everything there is. */
  present(): SyncToken {
    return { position: this.#deps.log.position, ...this.#deps.ephemeralSerials() };
  }

  /** The response body, as JSON text. */
  async sync(request: SyncRequest): Promise<string> {
    const { response, next } = await this.#answer(request, hasNews);
    return response.toJson(next);
  }

  /**
   * The events of timelines since a token, as a list; waits for one to come. Nothing else is shown
   * or waited for. https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events
   * @returns a JSON array, and the token to go on from
   */
  async events(request: SyncRequest): Promise<{ chunk: string; end: string }> {
    const { response, next } = await this.#answer(request, hasTimeline);
    return { chunk: response.timelinesToJson(), end: next };
  }

  /** Reads, and waits until there is `reason` to answer or the time is over. */
  async #answer(
    request: SyncRequest,
    reason: (response: SyncResponse) => boolean,
  ): Promise<{ response: SyncResponse; next: string }> {
    const { notifier, clock } = this.#deps;
    // Registered before reading, so that nothing can come between reading and waiting.
    const waiter = notifier.register(request.userId);
    try {
      const until = clock.nowMs() + Math.min(request.timeoutMs, maxTimeoutMs);
      for (;;) {
        const { response, to } = await this.#readInTurn(request);
        const remainingMs = until - clock.nowMs();
        const answerNow =
          reason(response) ||
          request.since === undefined ||
          request.fullState ||
          remainingMs <= 0 ||
          request.signal?.aborted === true ||
          notifier.isDraining;
        if (answerNow) {
          return { response, next: formatSyncToken(nextToken(response, to)) };
        }
        await waiter.wait(remainingMs, request.signal);
      }
    } finally {
      notifier.release(waiter);
    }
  }

  /**
   * To be asked before anything else about a user who syncs: loads what is read of them each time,
   * where it is not in memory. What is asked for a thousand who come back at once is asked together.
   */
  prepare(userId: UserId): Promise<unknown> | undefined {
    const { userRooms, ignoredUsers } = this.#deps;
    if (userRooms.cached(userId) !== undefined) return undefined;
    return Promise.all([userRooms.of(userId), ignoredUsers(userId)]);
  }

  /** Reading what memory does not have takes one of few places: the others wait for theirs. */
  #readInTurn(request: SyncRequest): Promise<{ response: SyncResponse; to: SyncToken }> {
    const { userId, since, fullState } = request;
    const { userRooms, isInMemory } = this.#deps;
    if (since === undefined || fullState || !isInMemory(since.position)) {
      return this.#coldReads.run(userId, () => this.#read(request));
    }
    const hasRead = this.#readBefore.has(userRooms.cached(userId) ?? nothing);
    return hasRead ? this.#read(request) : this.#firstRead(request);
  }

  /** What is of the user's own is read before taking a place: of all who come at once, together. */
  async #firstRead(request: SyncRequest): Promise<{ response: SyncResponse; to: SyncToken }> {
    const { userRooms, ignoredUsers } = this.#deps;
    const [rooms, ignored] = await Promise.all([
      userRooms.of(request.userId),
      ignoredUsers(request.userId),
    ]);
    const context = this.#contextOf(request, rooms, ignored);
    await Promise.all(this.#deps.streams.map((stream) => stream.prepare?.(context)));
    return this.#firstReads.run(request.userId, async () => {
      // A crowd whose places come free one after another would not let others in between.
      await this.#turn();
      return this.#read(request);
    });
  }

  /** Undefined where all rooms have to be looked at. */
  #changedRooms(
    { userId, since, fullState, filter }: SyncRequest,
    rooms: ReadonlyMap<number, UserRoom>,
  ): UserRoom[] | undefined {
    const { userRooms, roomsChangedAfter } = this.#deps;
    const lastOwn = userRooms.lastChange(userId);
    if (since === undefined || fullState || lastOwn === undefined || lastOwn > since.position) {
      return undefined;
    }
    const nids = roomsChangedAfter(since.position, rooms.size + 16);
    if (nids === undefined) return undefined;
    const changed: UserRoom[] = [];
    for (const nid of nids) {
      const room = rooms.get(nid);
      if (room !== undefined && isShown(room, filter)) changed.push(room);
    }
    return changed;
  }

  /** Nothing is awaited from the position to the copy of the rooms, so that they agree. */
  #contextOf(
    request: SyncRequest,
    rooms: ReadonlyMap<number, UserRoom>,
    ignored: ReadonlySet<UserId>,
  ): SyncContext {
    const to = this.present();
    const changedRooms = this.#changedRooms(request, rooms);
    return new Context(request, to, [...rooms.values()], changedRooms, ignored);
  }

  async #read(request: SyncRequest): Promise<{ response: SyncResponse; to: SyncToken }> {
    const { userRooms, ignoredUsers } = this.#deps;
    const loaded = userRooms.of(request.userId);
    if (loaded instanceof Promise) await loaded;
    const ignoring = ignoredUsers(request.userId);
    const ignored = ignoring instanceof Promise ? await ignoring : ignoring;
    const rooms = userRooms.cached(request.userId) ?? (await userRooms.of(request.userId));
    this.#readBefore.add(rooms);
    const context = this.#contextOf(request, rooms, ignored);
    const response = new SyncResponse(request.stateAfterName);
    for (const stream of this.#deps.streams) {
      const collecting = stream.collect(context, response);
      if (collecting !== undefined) await collecting;
    }
    return { response, to: context.to };
  }
}

/** Where the client goes on: at the present, but for what did not go into the answer. */
const nextToken = (response: SyncResponse, to: SyncToken): SyncToken => {
  const { toDeviceUpTo: toDevice, presenceUpTo: presence = to.presence, typingIn = [] } = response;
  if (toDevice === undefined && presence === to.presence && typingIn.length === 0) return to;
  return { ...to, presence, typingIn, ...(toDevice !== undefined && { toDevice }) };
};

const isShown = (room: UserRoom, filter: Filter): boolean =>
  !room.forgotten && filter.room.matchesRoom(room.roomId);

/** Most answers concern a room or two: the list of all of them is made only where it is needed. */
class Context implements SyncContext {
  readonly userId: UserId;
  readonly deviceId: DeviceId | undefined;
  readonly filter: Filter;
  readonly from: SyncToken | undefined;
  readonly to: SyncToken;
  readonly fullState: boolean;
  readonly useStateAfter: boolean;
  readonly ignoredUsers: ReadonlySet<UserId>;
  readonly #all: readonly UserRoom[];
  readonly #changed: readonly UserRoom[] | undefined;
  #shown: readonly UserRoom[] | undefined;

  constructor(
    request: SyncRequest,
    to: SyncToken,
    all: readonly UserRoom[],
    changed: readonly UserRoom[] | undefined,
    ignoredUsers: ReadonlySet<UserId>,
  ) {
    this.userId = request.userId;
    this.deviceId = request.deviceId;
    this.filter = request.filter;
    this.from = request.since;
    this.to = to;
    this.fullState = request.fullState;
    this.useStateAfter = request.useStateAfter;
    this.ignoredUsers = ignoredUsers;
    this.#all = all;
    this.#changed = changed;
  }

  get rooms(): readonly UserRoom[] {
    this.#shown ??= this.#all.filter((room) => isShown(room, this.filter));
    return this.#shown;
  }

  get changedRooms(): readonly UserRoom[] {
    return this.#changed ?? this.rooms;
  }
}
