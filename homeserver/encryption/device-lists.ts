/**
 * Whose devices and keys have changed, as a stream in the log: other devices here hear of it in
 * sync, other servers by EDUs written in the same transaction as the change.
 * https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user
 */
import type { Logger } from 'pino';
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { UserRoom, UserRooms } from '../rooms/user-rooms.ts';
import type { Database, Statement } from '../storage/database.ts';
import { devicesWithKeys } from '../storage/device-keys.ts';
import {
  changedUsersSharing,
  type DeviceListChange,
  deviceListsSection,
  devicesPosOf,
  membersSinceBefore,
  roomsJoinedSince,
  serversSharingRooms,
  unloggedChangeDeletion,
  unloggedChanges,
  usersMoved,
} from '../storage/device-lists.ts';
import type { RoomWrite } from '../storage/event-section.ts';
import { newestDeviceChanges, newestMoves } from '../storage/newest-rows.ts';
import { type NewOutboundEdu, outboundEdusSection } from '../storage/outbound-edus.ts';
import { joinedRoomNids } from '../storage/snapshots.ts';
import { type Log, rowsOf } from '../streams/log.ts';
import { LogTail } from '../streams/log-tail.ts';
import type { Notifier } from '../streams/notifier.ts';

export interface DeviceListsDeps {
  readonly db: Database;
  readonly log: Log;
  readonly notifier: Notifier;
  readonly userRooms: UserRooms;
  readonly registry: RoomRegistry;
  readonly logger: Logger;
  readonly serverName: ServerName;
  readonly budget: MemoryBudget;
  /** Told of positions at which there is something for other servers, before the log advances. */
  readonly outbound: { follow(positions: readonly number[]): void };
}

export interface DeviceListNews {
  /** Whose keys may be others than before. */
  readonly changed: readonly UserId[];
  /** With whom no room is shared any more. */
  readonly left: readonly UserId[];
}

/** What concerns other servers, what only those here, and what nobody but its user. */
export type ChangeScope = 'everyone' | 'here' | 'self';

interface RecentChange {
  readonly userId: UserId;
  /** In which rooms others see the user. */
  readonly roomNids: ReadonlySet<number>;
  /** The only one for whom there is a change. */
  readonly viewer: UserId | undefined;
}

const everyone = 'everyone';
const maxLoggedAtOnce = 100;
const retryMs = 1_000;
const noStatements: readonly Statement[] = [];
const noNews: DeviceListNews = { changed: [], left: [] };

export class DeviceLists {
  readonly #deps: DeviceListsDeps;
  readonly #changes: LogTail<typeof everyone, RecentChange>;
  /** Who has come to a room or gone from it. */
  readonly #moves: LogTail<number, UserId>;
  #logging: Promise<void> | undefined;
  #logAgain = false;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(deps: DeviceListsDeps) {
    this.#deps = deps;
    const maxBytes = deps.budget.bytesFor('deviceLists') / 2;
    this.#changes = new LogTail(deps.log.position, {
      maxBytes,
      weigh: ({ roomNids }) => 100 + 40 * roomNids.size,
    });
    this.#moves = new LogTail(deps.log.position, { maxBytes });
    deps.budget.holds('deviceLists', () => this.#changes.bytes + this.#moves.bytes);
    deps.log.onRows(deviceListsSection, (rows) => this.#follow(rows));
    deps.log.onRows(outboundEdusSection, (edus) =>
      deps.outbound.follow(edus.map(({ streamPos }) => streamPos)),
    );
  }

  /**
   * Makes a change of a user's devices (or, with '', of their cross-signing keys) together with the
   * news of it.
   */
  async change(
    userId: UserId,
    deviceIds: readonly string[],
    scope: ChangeScope,
    statements: readonly Statement[] = noStatements,
  ): Promise<void> {
    const rooms = (await joinedRoomNids(this.#deps.db, [userId])).get(userId) ?? [];
    const destinations =
      scope === 'everyone' ? await serversSharingRooms(this.#deps.db, rooms) : [];
    const roomNids = scope === 'self' ? [] : rooms;
    const changes = deviceIds.map(
      (deviceId, index): DeviceListChange => ({
        userId,
        deviceId: scope === 'everyone' ? deviceId : undefined,
        destinations,
        roomNids,
        viewer: undefined,
        statements: index === 0 ? statements : noStatements,
        streamPos: 0,
      }),
    );
    await this.#deps.log.append({ parts: [rowsOf(deviceListsSection, changes)] });
  }

  /**
   * Changes what one user alone sees of others' keys. Who asks the database is told more than that:
   * to look again at keys that are the same for them.
   */
  async changeForViewer(
    viewer: UserId,
    userIds: readonly UserId[],
    statements: readonly Statement[],
  ): Promise<void> {
    const changes = userIds.map(
      (userId, index): DeviceListChange => ({
        userId,
        deviceId: undefined,
        destinations: [],
        roomNids: [],
        viewer,
        statements: index === 0 ? statements : noStatements,
        streamPos: 0,
      }),
    );
    await this.#deps.log.append({ parts: [rowsOf(deviceListsSection, changes)] });
  }

  /**
   * Takes up what other transactions have changed; see `addUnloggedChanges`. Resolves when it is in the
   * log, so that whoever is answered then is not woken by their own change; or when that failed, and it
   * will be tried again.
   */
  logUnlogged(): Promise<void> {
    this.#logAgain = true;
    this.#logging ??= this.#logAll().finally(() => {
      this.#logging = undefined;
    });
    return this.#logging;
  }

  /** Resolves once everything changed so far is in the log. */
  async idle(): Promise<void> {
    while (this.#logging !== undefined) await this.#logging;
  }

  /**
   * Committed events of a room: called before the log advances over them. Other servers are told of
   * whoever has come by the process that wrote it.
   */
  followRoom(roomNid: number, write: RoomWrite, isOurs: boolean): void {
    if (write.memberChanges.length === 0) return;
    const positions = new Map(write.events.map((row) => [row.eventNid, row.streamPos]));
    for (const { causedByNid, userId: id, joined } of write.memberChanges) {
      const userId = id as UserId;
      this.#moves.add(roomNid, positions.get(causedByNid) ?? 0, userId);
      if (!isOurs || !joined || serverNameOf(userId) !== this.#deps.serverName) continue;
      this.introduce(userId, roomNid).catch((error: unknown) => {
        // They ask for the devices themselves before they send anything to them.
        this.#deps.logger.warn({ err: error, userId }, 'devices not made known to other servers');
      });
    }
  }

  /**
   * A user here has come to a room: servers in it that have not followed the user's devices until now
   * are told which there are. https://spec.matrix.org/v1.19/server-server-api/#device-management
   */
  async introduce(userId: UserId, roomNid: number): Promise<void> {
    const { db, log } = this.#deps;
    const present = await serversSharingRooms(db, [roomNid]);
    if (present.length === 0) return;
    const rooms = (await joinedRoomNids(db, [userId])).get(userId) ?? [];
    const others = rooms.filter((nid) => nid !== roomNid);
    const following = new Set(await serversSharingRooms(db, others));
    const destinations = present.filter((server) => !following.has(server));
    if (destinations.length === 0) return;
    const streamId = await devicesPosOf(db, userId);
    const devices = await devicesWithKeys(db, new Map([[userId, []]]));
    if (devices.length === 0) return;
    const edus = devices.map(
      ({ deviceId }): NewOutboundEdu => ({
        type: 'm.device_list_update',
        content: JSON.stringify({
          user_id: userId,
          device_id: deviceId,
          prev_id: 0,
          stream_id: streamId,
        }),
        destinations,
        streamPos: 0,
      }),
    );
    await log.append({ parts: [rowsOf(outboundEdusSection, edus)] });
  }

  /** What a user is to know of `after < position <= upTo`; at once where memory suffices. */
  newsFor(userId: UserId, after: number, upTo: number): DeviceListNews | Promise<DeviceListNews> {
    if (after >= upTo) return noNews;
    const rooms = this.#deps.userRooms.cached(userId);
    const recent = this.#changes.between(everyone, after, upTo);
    if (rooms === undefined || recent === undefined || !this.#moves.isCompleteAfter(after)) {
      return this.#readNews(userId, after, upTo);
    }
    const changed = new Set<UserId>();
    for (const change of recent) {
      const { viewer = change.userId } = change;
      if (viewer === userId || sharesRoom(rooms, change.roomNids)) {
        changed.add(change.userId);
      }
    }
    const comesOrGoes =
      (this.#deps.userRooms.lastChange(userId) ?? after + 1) > after &&
      [...rooms.values()].some((room) => room.membershipPos > after);
    const moved = new Set<UserId>();
    for (const roomNid of this.#moves.keysAfter(after, rooms.size + 16) ?? rooms.keys()) {
      const room = rooms.get(roomNid);
      if (room?.membership !== 'join' || room.membershipPos > after) continue;
      for (const who of this.#moves.between(roomNid, after, upTo) ?? []) moved.add(who);
    }
    if (!comesOrGoes && moved.size === 0) {
      return changed.size === 0 ? noNews : { changed: [...changed], left: [] };
    }
    return this.#resolve(userId, [...rooms.values()], after, changed, moved);
  }

  /** Takes the newest changes after a position into memory. */
  async fill(after: number): Promise<void> {
    const { db } = this.#deps;
    const [changesUpTo, movesUpTo] = [this.#changes.completeAfter, this.#moves.completeAfter];
    const [changes, moves] = await Promise.all([
      newestDeviceChanges(db, after),
      newestMoves(db, after),
    ]);
    const userIds = changes.rows.map(({ key }) => key);
    const rooms = await joinedRoomNids(db, userIds);
    const rows = changes.rows.map(({ key: userId, position }) => ({
      key: everyone as typeof everyone,
      position,
      row: { userId, roomNids: new Set(rooms.get(userId)), viewer: undefined },
    }));
    this.#changes.fill(changesUpTo, changes.completeAfter, rows);
    this.#moves.fill(movesUpTo, moves.completeAfter, moves.rows);
  }

  /** Memory may be wrong: nothing up to this position is answered from it. */
  reset(position: number): void {
    this.#changes.reset(position);
    this.#moves.reset(position);
  }

  async close(): Promise<void> {
    clearTimeout(this.#retryTimer);
    await this.idle();
  }

  async #readNews(userId: UserId, after: number, upTo: number): Promise<DeviceListNews> {
    const { db, userRooms } = this.#deps;
    const rooms = [...(await userRooms.of(userId)).values()];
    const joined = rooms.filter(({ membership }) => membership === 'join');
    const changed = await changedUsersSharing(db, userId, after, upTo);
    const moved = await usersMoved(
      db,
      joined.map(({ roomNid }) => roomNid),
      after,
      upTo,
    );
    return this.#resolve(userId, rooms, after, new Set(changed), new Set(moved));
  }

  async #resolve(
    userId: UserId,
    rooms: readonly UserRoom[],
    after: number,
    changed: Set<UserId>,
    moved: ReadonlySet<UserId>,
  ): Promise<DeviceListNews> {
    const { db } = this.#deps;
    const fresh = rooms.filter((room) => room.membershipPos > after);
    for (const { roomNid } of fresh.filter(({ membership }) => membership === 'join')) {
      const members = await membersSinceBefore(db, roomNid, Number.MAX_SAFE_INTEGER);
      // The user is among them: their other devices may not have had to do with a room before.
      for (const member of members) changed.add(member);
    }
    const candidates = new Set(moved);
    const gone = fresh.filter(({ membership }) => membership === 'leave' || membership === 'ban');
    const wasIn = new Set(
      gone.length === 0
        ? []
        : await roomsJoinedSince(
            db,
            userId,
            gone.map(({ roomNid }) => roomNid),
            after,
          ),
    );
    for (const { roomNid, membershipPos } of gone) {
      if (!wasIn.has(roomNid)) continue;
      for (const member of await membersSinceBefore(db, roomNid, membershipPos)) {
        candidates.add(member);
      }
    }
    candidates.delete(userId);
    const left: UserId[] = [];
    const sharing = await this.#sharingWith(rooms, candidates);
    for (const candidate of candidates) {
      if (!sharing.has(candidate)) {
        left.push(candidate);
        changed.delete(candidate);
      } else if (moved.has(candidate)) changed.add(candidate);
    }
    return { changed: [...changed], left };
  }

  /** Those who are in one of the rooms; the database is asked for whom memory does not know. */
  async #sharingWith(
    rooms: readonly UserRoom[],
    candidates: ReadonlySet<UserId>,
  ): Promise<Set<UserId>> {
    const joined = rooms.filter(({ membership }) => membership === 'join');
    const live = joined.flatMap(({ roomNid }) => this.#deps.registry.cached(roomNid) ?? []);
    const sharing = new Set(
      [...candidates].filter((who) => live.some((room) => room.membership(who) === 'join')),
    );
    if (sharing.size === candidates.size || joined.length === live.length) return sharing;
    const nids = new Set(joined.map(({ roomNid }) => roomNid));
    const others = [...candidates].filter((who) => !sharing.has(who));
    for (const [who, theirs] of await joinedRoomNids(this.#deps.db, others)) {
      if (theirs.some((nid) => nids.has(nid))) sharing.add(who);
    }
    return sharing;
  }

  #follow(rows: readonly DeviceListChange[]): void {
    const { notifier, registry, outbound } = this.#deps;
    const sent = rows.filter(({ destinations }) => destinations.length > 0);
    outbound.follow(sent.map(({ streamPos }) => streamPos));
    for (const [index, { userId, roomNids: nids, viewer, streamPos }] of rows.entries()) {
      // Of the changes of one user's devices the last one says all that readers are told.
      if (rows[index + 1]?.userId === userId) continue;
      const roomNids = new Set(nids);
      this.#changes.add(everyone, streamPos, { userId, roomNids, viewer });
      notifier.mark([viewer ?? userId]);
      // Those who wait for a room that is not in memory hear of it with their next answer.
      for (const roomNid of roomNids) {
        const members = registry.cached(roomNid)?.joinedLocalUsers;
        if (members !== undefined) notifier.markMembers(members);
      }
    }
  }

  async #logAll(): Promise<void> {
    const { db, logger } = this.#deps;
    clearTimeout(this.#retryTimer);
    try {
      while (this.#logAgain) {
        this.#logAgain = false;
        const waiting = await unloggedChanges(db, maxLoggedAtOnce);
        if (waiting.length === maxLoggedAtOnce) this.#logAgain = true;
        for (const { changeNo, userId, deviceId } of waiting) {
          await this.change(userId, [deviceId], 'everyone', [unloggedChangeDeletion(changeNo)]);
        }
      }
    } catch (error) {
      logger.error({ err: error }, 'changed devices could not be told of; trying again');
      this.#retryTimer = setTimeout(() => void this.logUnlogged(), retryMs).unref();
    }
  }
}

const sharesRoom = (
  rooms: ReadonlyMap<number, UserRoom>,
  roomNids: ReadonlySet<number>,
): boolean => {
  for (const nid of roomNids) if (rooms.get(nid)?.membership === 'join') return true;
  return false;
};
