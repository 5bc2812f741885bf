/**
 * The events a person has been notified about, newest first. They are found by asking the rules
 * again, so that nothing need be kept of them.
 * https://spec.matrix.org/v1.19/client-server-api/#listing-notifications
 */
import type { UserId } from '../../spec/identifiers.ts';
import type { PushVerdict } from '../../spec/push-rules/evaluate.ts';
import type { EventView } from '../rooms/client-events.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import { threadOf } from '../rooms/relations.ts';
import type { RoomAccesses } from '../rooms/room-accesses.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import type { UserRoom, UserRooms } from '../rooms/user-rooms.ts';
import type { Db } from '../storage/database.ts';
import { newestOfOthers } from '../storage/events.ts';
import type { AccountData } from '../streams/account-data.ts';
import type { Log } from '../streams/log.ts';
import type { PushContext, PushEvaluator } from './push-evaluator.ts';
import type { PushRules } from './push-rules.ts';
import type { UnreadCounts } from './unread-counts.ts';

export interface NotificationsDeps {
  readonly db: Db;
  readonly log: Log;
  readonly userRooms: UserRooms;
  readonly registry: RoomRegistry;
  readonly access: RoomAccesses;
  readonly events: EventStore;
  readonly accountData: AccountData;
  readonly pushRules: PushRules;
  readonly evaluator: PushEvaluator;
  readonly unreadCounts: UnreadCounts;
}

export interface NotificationsRequest {
  readonly userId: UserId;
  /** Only events before this position of the log. */
  readonly before: number | undefined;
  readonly limit: number;
  readonly onlyHighlights: boolean;
}

export interface Notification {
  readonly room: LiveRoom;
  readonly view: EventView;
  readonly verdict: PushVerdict;
  readonly read: boolean;
}

interface AskedRoom {
  readonly room: LiveRoom;
  readonly context: PushContext;
}

export interface NotificationsPage {
  readonly notifications: readonly Notification[];
  /** Where to go on; undefined when there is nothing further. */
  readonly before: number | undefined;
}

const pageSize = 200;
/** Events that one request looks at; where few of them notify, it answers with few. */
const maxEvents = 2000;

export class Notifications {
  readonly #deps: NotificationsDeps;

  constructor(deps: NotificationsDeps) {
    this.#deps = deps;
  }

  async list(request: NotificationsRequest): Promise<NotificationsPage> {
    const { userId, limit, onlyHighlights } = request;
    const { db, log, userRooms, unreadCounts, accountData } = this.#deps;
    const joined = [...(await userRooms.of(userId)).values()].filter(
      ({ membership }) => membership === 'join',
    );
    const counters = await unreadCounts.of(userId, joined, log.position);
    const ignored = await accountData.ignoredUsers(userId);
    const rooms = new Map(joined.map((room) => [room.roomNid, room]));
    const contextOf = this.#contexts(userId);
    const ranges = joined.map(({ roomNid, membershipPos: after }) => ({ roomNid, after }));
    const found: Notification[] = [];
    let before = request.before ?? log.position + 1;
    for (let seen = 0; seen < maxEvents; seen += pageSize) {
      const records = await newestOfOthers(db, userId, ranges, before, pageSize);
      for (const stored of this.#deps.events.adopt(records)) {
        if (found.length === limit) return { notifications: found, before };
        before = stored.streamPos as number;
        if (ignored.has(stored.event.sender)) continue;
        const asked = await contextOf(stored.roomNid);
        if (asked === undefined) continue;
        const verdict = this.#deps.evaluator.verdict(asked.context, stored);
        if (!verdict.notify) continue;
        if (onlyHighlights && !verdict.highlight) continue;
        const thread = await threadOf(this.#deps.events, stored);
        const read = counters.get(stored.roomNid)?.isRead(thread, before) ?? false;
        const access = this.#deps.access.ofMember(
          userId,
          asked.room,
          rooms.get(stored.roomNid) as UserRoom,
        );
        const [view] = await access.views([stored]);
        if (view !== undefined) found.push({ room: asked.room, view, verdict, read });
      }
      if (records.length < pageSize) return { notifications: found, before: undefined };
    }
    return { notifications: found, before };
  }

  #contexts(userId: UserId): (roomNid: number) => Promise<AskedRoom | undefined> {
    const { registry, evaluator, pushRules } = this.#deps;
    const contexts = new Map<number, AskedRoom | undefined>();
    return async (roomNid) => {
      if (!contexts.has(roomNid)) {
        const room = await registry.findByNid(roomNid);
        const rules = await pushRules.of(userId);
        contexts.set(roomNid, room && { room, context: await evaluator.contextOf(room, rules) });
      }
      return contexts.get(roomNid);
    };
  }
}
