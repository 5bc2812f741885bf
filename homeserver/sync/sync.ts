/**
 * The long poll: reads every stream from the client's token to the present, and waits for more
 * where there is nothing. https://spec.matrix.org/v1.19/client-server-api/#syncing
 */
import type { Filter } from '../../spec/filter.ts';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { UserRoom, UserRooms } from '../rooms/user-rooms.ts';
import type { Log } from '../streams/log.ts';
import type { Notifier } from '../streams/notifier.ts';
import { SyncResponse } from './response.ts';
import type { SyncContext, SyncStream } from './sync-stream.ts';
import { formatSyncToken, type SyncToken } from './tokens.ts';

export interface SyncRequest {
  readonly userId: UserId;
  readonly deviceId: DeviceId | undefined;
  readonly filter: Filter;
  readonly since: SyncToken | undefined;
  readonly fullState: boolean;
  readonly useStateAfter: boolean;
  /** How long to wait for news; 0 answers at once. */
  readonly timeoutMs: number;
  /** Aborted when the client goes away or the server stops: what there is is answered at once. */
  readonly signals: readonly AbortSignal[];
}

export interface SyncDeps {
  readonly log: Log;
  readonly notifier: Notifier;
  readonly userRooms: UserRooms;
  readonly clock: Clock;
  /** Every stream, rooms first. */
  readonly streams: readonly SyncStream[];
  /** The present of the streams that do not go through the log. */
  readonly ephemeralSerials: () => Omit<SyncToken, 'position' | 'toDevice'>;
  readonly ignoredUsers: (userId: UserId) => ReadonlySet<UserId> | Promise<ReadonlySet<UserId>>;
}

/** A wait beyond this is cut short: proxies drop idle connections, and clients ask again anyway. */
const maxTimeoutMs = 120_000;

export class Sync {
  readonly #deps: SyncDeps;

  constructor(deps: SyncDeps) {
    this.#deps = deps;
  }

  /** The response body, as JSON text. */
  async sync(request: SyncRequest): Promise<string> {
    const { notifier, clock } = this.#deps;
    // Registered before reading, so that nothing can come between reading and waiting.
    const waiter = notifier.register(request.userId);
    try {
      const until = clock.nowMs() + Math.min(request.timeoutMs, maxTimeoutMs);
      for (;;) {
        const { response, to } = await this.#read(request);
        const remainingMs = until - clock.nowMs();
        const answerNow =
          !response.isEmpty ||
          request.since === undefined ||
          request.fullState ||
          remainingMs <= 0 ||
          request.signals.some(({ aborted }) => aborted);
        if (answerNow) {
          const { toDeviceUpTo: toDevice } = response;
          const next = toDevice === undefined ? to : { ...to, toDevice };
          return response.toJson(formatSyncToken(next));
        }
        await waiter.wait(remainingMs, request.signals);
      }
    } finally {
      notifier.release(waiter);
    }
  }

  async #read(request: SyncRequest): Promise<{ response: SyncResponse; to: SyncToken }> {
    const { userRooms, log, ephemeralSerials, ignoredUsers, streams } = this.#deps;
    const loaded = userRooms.of(request.userId);
    if (loaded instanceof Promise) await loaded;
    const ignoring = ignoredUsers(request.userId);
    const ignored = ignoring instanceof Promise ? await ignoring : ignoring;
    // From here to the copy of the rooms nothing is awaited, so position and rooms agree.
    const to: SyncToken = { position: log.position, ...ephemeralSerials() };
    const rooms = userRooms.cached(request.userId) ?? (await userRooms.of(request.userId));
    const context: SyncContext = {
      userId: request.userId,
      deviceId: request.deviceId,
      filter: request.filter,
      from: request.since,
      to,
      fullState: request.fullState,
      useStateAfter: request.useStateAfter,
      rooms: shownRooms(rooms.values(), request.filter),
      ignoredUsers: ignored,
    };
    const response = new SyncResponse();
    for (const stream of streams) {
      const collecting = stream.collect(context, response);
      if (collecting !== undefined) await collecting;
    }
    return { response, to };
  }
}

const shownRooms = (rooms: Iterable<UserRoom>, filter: Filter): UserRoom[] => {
  const shown: UserRoom[] = [];
  for (const room of rooms) {
    if (!room.forgotten && filter.room.matchesRoom(room.roomId)) shown.push(room);
  }
  return shown;
};
