/**
 * Counts of unread notifications in sync. Comes after the streams that make the parts of rooms.
 * https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications
 */
import type { RoomCounter, ThreadCount } from '../push/room-counter.ts';
import type { UnreadCounts } from '../push/unread-counts.ts';
import { mainTimeline } from '../rooms/relations.ts';
import type { RoomActivity } from '../rooms/room-activity.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { Receipts } from '../streams/receipts.ts';
import type { SyncResponse } from './response.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';

export class UnreadStream implements SyncStream {
  readonly name = 'unread counts';
  readonly #counts: UnreadCounts;
  readonly #activity: RoomActivity;
  readonly #receipts: Receipts;

  constructor(counts: UnreadCounts, activity: RoomActivity, receipts: Receipts) {
    this.#counts = counts;
    this.#activity = activity;
    this.#receipts = receipts;
  }

  /** A first sync needs the counts of all rooms, and reads them when it has its place. */
  prepare(context: SyncContext): unknown {
    if (context.from === undefined || context.fullState) return undefined;
    const rooms = context.changedRooms.filter(
      (room) => room.membership === 'join' && this.#mayHaveChanged(context, room),
    );
    return this.#counts.prepare(context.userId, rooms, context.to.position);
  }

  collect(context: SyncContext, response: SyncResponse): Promise<void> | undefined {
    // Other streams may have begun the parts of rooms in which nothing else is new.
    const candidates = response.isWithin(context.changedRooms)
      ? context.changedRooms
      : context.rooms;
    const rooms = candidates.filter(
      (room) => room.membership === 'join' && this.#isConcerned(context, room, response),
    );
    if (rooms.length === 0) return undefined;
    const counters = this.#counts.of(context.userId, rooms, context.to.position);
    if (counters instanceof Promise) {
      return counters.then((found) => add(context, rooms, found, response));
    }
    add(context, rooms, counters, response);
    return undefined;
  }

  /** Whether the room's counts may have changed, or its part is sent anyway. */
  #isConcerned(context: SyncContext, room: UserRoom, response: SyncResponse): boolean {
    const { from, fullState } = context;
    if (from === undefined || fullState || response.hasJoined(room.roomId)) return true;
    return this.#mayHaveChanged(context, room);
  }

  #mayHaveChanged(context: SyncContext, room: UserRoom): boolean {
    const position = context.from?.position ?? 0;
    return (
      isNewlyJoined(context, room) ||
      this.#activity.changedSince(room.roomNid, position) ||
      (this.#receipts.lastChange(room.roomNid) ?? 0) > position
    );
  }
}

const add = (
  { from, fullState, filter }: SyncContext,
  rooms: readonly UserRoom[],
  counters: ReadonlyMap<number, RoomCounter>,
  response: SyncResponse,
): void => {
  const byThread = filter.room.timeline.unreadThreadNotifications;
  for (const { roomNid, roomId } of rooms) {
    const counter = counters.get(roomNid);
    if (counter === undefined) continue;
    const isNews = from === undefined || fullState || counter.changedPos > from.position;
    if (!isNews && !response.hasJoined(roomId)) continue;
    const part = response.joined(roomId);
    part.hasNewCounts = isNews;
    if (byThread) {
      part.unreadNotifications = countJson(counter.threads.get(mainTimeline));
      part.unreadThreadNotifications = threadsJson(counter);
    } else {
      part.unreadNotifications = countJson(counter.total());
    }
  }
};

const countJson = (count: Pick<ThreadCount, 'notifications' | 'highlights'> | undefined): string =>
  `{"notification_count":${count?.notifications ?? 0},"highlight_count":${count?.highlights ?? 0}}`;

const threadsJson = (counter: RoomCounter): string | undefined => {
  const threads: string[] = [];
  for (const [thread, count] of counter.threads) {
    if (thread === mainTimeline || count.notifications === 0) continue;
    threads.push(`${JSON.stringify(thread)}:${countJson(count)}`);
  }
  return threads.length === 0 ? undefined : `{${threads.join(',')}}`;
};
