/**
 * Other servers' device lists: fetched when somebody asks for them, then kept up to date by the EDUs
 * that come for as long as a room is shared.
 * https://spec.matrix.org/v1.19/server-server-api/#device-management
 */
import type { Logger } from 'pino';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import { fitsInBytes, isDeviceId, type UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { someAtATime } from '../some-at-a-time.ts';
import { crossSigningKeyUpserts, deleteCrossSigningKeys } from '../storage/cross-signing.ts';
import type { Database } from '../storage/database.ts';
import {
  followedLists,
  forgetRemoteList,
  markRemoteListStale,
  moveRemoteList,
  putOffStaleList,
  type RemoteDeviceRow,
  remoteListOf,
  replaceRemoteList,
  staleListsDue,
} from '../storage/remote-devices.ts';
import { joinedRoomNids } from '../storage/snapshots.ts';
import type { Log } from '../streams/log.ts';
import { crossSigningKeyIn } from './cross-signing-key.ts';
import type { DeviceLists } from './device-lists.ts';
import { isObject, type RemoteKeys } from './remote-keys.ts';

export interface RemoteDeviceListsDeps {
  readonly db: Database;
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly deviceLists: DeviceLists;
}

/** Of one person. */
const maxDevices = 1000;
const maxListBytes = 2 * 1024 * 1024;
const maxKeysBytes = 16_384;
const maxDisplayNameLength = 100;
const resyncTimeoutMs = 10_000;
/** Stale lists are fetched in the background, so many of those that are due at a time. */
const maxResyncs = 50;
const maxResyncsAtOnce = 4;
const firstResyncDelayMs = 60_000;
const maxResyncDelayMs = 24 * 60 * 60_000;
/** After this many failures, which is some two weeks, a list is forgotten until somebody asks. */
const maxResyncFailures = 24;

export class RemoteDeviceLists {
  readonly #deps: RemoteDeviceListsDeps;
  #remote: RemoteKeys | undefined;
  /** Fetches under way; `again` when the list has changed since they began. */
  readonly #fetching = new Map<UserId, { again: boolean; done: Promise<void> }>();

  constructor(deps: RemoteDeviceListsDeps) {
    this.#deps = deps;
  }

  askThrough(remote: RemoteKeys): void {
    this.#remote = remote;
  }

  /** Those whose list here is right for as far as `viewer` is concerned. */
  followed(viewer: UserId, userIds: readonly UserId[]): Promise<Set<UserId>> {
    return followedLists(this.#deps.db, viewer, userIds);
  }

  /** Whether the server tells us of changes: it does for users in a room with ours. */
  async sharing(viewer: UserId, userIds: readonly UserId[]): Promise<Set<UserId>> {
    const rooms = await joinedRoomNids(this.#deps.db, [viewer, ...userIds]);
    const mine = new Set(rooms.get(viewer));
    return new Set(userIds.filter((userId) => rooms.get(userId)?.some((nid) => mine.has(nid))));
  }

  /**
   * Fetches a user's list, for somebody or to keep it up to date. Those who ask together share an
   * answer. Throws when there is none.
   */
  fetch(userId: UserId, timeoutMs = resyncTimeoutMs, asker?: UserId): Promise<void> {
    const running = this.#fetching.get(userId);
    if (running !== undefined) return running.done;
    const work = { again: false, done: Promise.resolve() };
    this.#fetching.set(userId, work);
    work.done = this.#fetchAll(userId, work, timeoutMs, asker).finally(() => {
      this.#fetching.delete(userId);
    });
    return work.done;
  }

  /** An `m.device_list_update` of the user's own server. */
  async updated(userId: UserId, content: JsonObject): Promise<void> {
    const { db, clock, deviceLists } = this.#deps;
    const { stream_id: streamId, device_id: deviceId } = content;
    if (!Number.isSafeInteger(streamId) || typeof deviceId !== 'string') return;
    if (!isDeviceId(deviceId) || !(await this.#isConcerned(userId))) return;
    const fetching = this.#fetching.get(userId);
    if (fetching !== undefined) {
      fetching.again = true;
      return;
    }
    const known = await remoteListOf(db, userId);
    if (known !== undefined && !known.stale && known.streamId === streamId) return;
    const previous = Array.isArray(content['prev_id']) ? content['prev_id'] : [];
    const follows =
      known !== undefined &&
      !known.stale &&
      previous.length > 0 &&
      previous.every((id) => id === known.streamId);
    if (!follows) {
      await markRemoteListStale(db, userId, clock.nowMs() + firstResyncDelayMs);
      void this.#fetchAndTell(userId);
      return;
    }
    const device = {
      deviceId,
      displayName: displayNameIn(content['device_display_name']),
      keys: content['deleted'] === true ? undefined : keysIn(content['keys']),
    };
    const limits = { devices: maxDevices, bytes: maxListBytes };
    const fits = await db.transaction((tx) =>
      moveRemoteList(tx, userId, streamId as number, device, limits),
    );
    // Whoever asks gets as much of it as there may be.
    if (!fits) await markRemoteListStale(db, userId, clock.nowMs() + maxResyncDelayMs);
    await deviceLists.change(userId, [''], 'here');
  }

  /** An `m.signing_key_update` of the user's own server. */
  async signingKeysUpdated(userId: UserId, content: JsonObject): Promise<void> {
    if (!(await this.#isConcerned(userId))) return;
    const keys = (['master', 'self_signing'] as const).flatMap(
      (usage) => crossSigningKeyIn(content[`${usage}_key`], userId, usage) ?? [],
    );
    if (keys.length === 0) return;
    await this.#deps.deviceLists.change(userId, [''], 'here', crossSigningKeyUpserts(keys));
  }

  /** Fetches stale lists whose time has come. Called again and again by whoever owns this. */
  async resync(): Promise<void> {
    const { db, clock } = this.#deps;
    if (this.#remote === undefined) return;
    const due = await staleListsDue(db, clock.nowMs(), maxResyncs);
    await someAtATime(due, maxResyncsAtOnce, async ({ userId, failureCount }) => {
      if (failureCount >= maxResyncFailures || !(await this.#isConcerned(userId))) {
        await db.transaction((tx) => forgetRemoteList(tx, userId));
        return;
      }
      // Put off first: it may fail in whatever way.
      const delayMs = Math.min(firstResyncDelayMs * 2 ** failureCount, maxResyncDelayMs);
      await putOffStaleList(
        db,
        { userId, failureCount: failureCount + 1 },
        clock.nowMs() + delayMs,
      );
      await this.#fetchAndTell(userId);
    });
  }

  async idle(): Promise<void> {
    for (const { done } of this.#fetching.values()) await done.catch(() => undefined);
  }

  async #isConcerned(userId: UserId): Promise<boolean> {
    return (await joinedRoomNids(this.#deps.db, [userId])).has(userId);
  }

  async #fetchAndTell(userId: UserId): Promise<void> {
    const { deviceLists, logger } = this.#deps;
    await this.fetch(userId)
      .catch((error: unknown) => {
        // `resync` makes the next try, or whoever asks for the keys.
        logger.debug({ err: error, userId }, 'a device list could not be fetched');
      })
      .then(() => deviceLists.change(userId, [''], 'here'))
      .catch((error: unknown) => {
        logger.warn({ err: error, userId }, 'a changed device list could not be told of');
      });
  }

  async #fetchAll(
    userId: UserId,
    work: { again: boolean },
    timeoutMs: number,
    asker: UserId | undefined,
  ): Promise<void> {
    const { db, log } = this.#deps;
    if (this.#remote === undefined) throw new Error('There is no federation');
    do {
      work.again = false;
      // Rooms shared by now are rooms in which every later change reaches us.
      const syncedPos = log.position;
      const answer = await this.#remote.devices(userId, timeoutMs, asker);
      const { stream_id: streamId, devices } = answer;
      if (!Number.isSafeInteger(streamId) || !Array.isArray(devices)) {
        throw new Error('The answer is not a device list');
      }
      const list = {
        streamId: streamId as number,
        syncedPos,
        devices: withinBytes(devices.slice(0, maxDevices).flatMap(deviceIn)),
      };
      const usages = ['master', 'self_signing'] as const;
      const keys = usages.flatMap(
        (usage) => crossSigningKeyIn(answer[`${usage}_key`], userId, usage) ?? [],
      );
      const gone = usages.filter((usage) => !keys.some((key) => key.usage === usage));
      await db.transaction(async (tx) => {
        await replaceRemoteList(tx, userId, list);
        await deleteCrossSigningKeys(tx, userId, gone);
        for (const statement of crossSigningKeyUpserts(keys)) await tx.query(statement);
      });
    } while (work.again);
  }
}

const displayNameIn = (value: JsonValue | undefined): string | undefined =>
  typeof value === 'string'
    ? value.replaceAll('\u0000', '').slice(0, maxDisplayNameLength)
    : undefined;

/** JSON; undefined for a device without identity keys. */
const keysIn = (value: JsonValue | undefined): string | undefined => {
  if (!isObject(value)) return undefined;
  const { unsigned: _unsigned, ...keys } = value;
  const json = JSON.stringify(keys);
  return fitsInBytes(json, maxKeysBytes) ? json : undefined;
};

/** As many of them, in their order, as there may be. */
const withinBytes = (devices: readonly RemoteDeviceRow[]): RemoteDeviceRow[] => {
  let left = maxListBytes;
  return devices.filter(({ keys }) => {
    left -= Buffer.byteLength(keys);
    return left >= 0;
  });
};

const deviceIn = (value: JsonValue): RemoteDeviceRow[] => {
  if (!isObject(value)) return [];
  const { device_id: deviceId, keys, device_display_name: name } = value;
  const json = keysIn(keys);
  if (typeof deviceId !== 'string' || !isDeviceId(deviceId) || json === undefined) return [];
  return [{ deviceId, displayName: displayNameIn(name), keys: json }];
};
