/** What follows a commit: memory of who is in which room, and wake-ups for those concerned. */
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { RoomWrite } from '../storage/event-section.ts';
import type { Notifier } from '../streams/notifier.ts';
import type { LiveRoom } from './live-room.ts';
import type { RoomActivity } from './room-activity.ts';
import type { StoredEvent } from './stored-event.ts';
import type { UserRooms } from './user-rooms.ts';

/**
 * Told of every batch of events one room has committed, in log order per room, and whether this
 * process has written it: what follows from an event besides memory, one process does.
 */
export type AppendListener = (
  room: LiveRoom,
  events: readonly StoredEvent[],
  write: RoomWrite,
  isOurs: boolean,
) => void;

export class RoomObserver {
  readonly #userRooms: UserRooms;
  readonly #activity: RoomActivity;
  readonly #notifier: Notifier;
  readonly #localServer: ServerName;
  readonly #listeners: AppendListener[] = [];
  readonly #unseenListeners: ((write: RoomWrite) => void)[] = [];

  constructor(deps: {
    userRooms: UserRooms;
    activity: RoomActivity;
    notifier: Notifier;
    localServer: ServerName;
  }) {
    this.#userRooms = deps.userRooms;
    this.#activity = deps.activity;
    this.#notifier = deps.notifier;
    this.#localServer = deps.localServer;
  }

  /** For readers of the log that live in this process. They keep cursors: this is only a nudge. */
  onAppended(listener: AppendListener): void {
    this.#listeners.push(listener);
  }

  /** Of a room that is not in memory: those who wait may be in it. */
  appendedUnseen(events: readonly StoredEvent[], write: RoomWrite): void {
    const [first] = write.events;
    const last = events.at(-1)?.streamPos;
    if (last === undefined || first === undefined) return;
    this.#activity.record(write.roomNid, last);
    this.usersChanged(write.roomNid, first.roomId as RoomId, write);
    this.#notifier.markWhere(
      (userId) => this.#userRooms.cached(userId)?.get(write.roomNid)?.membership === 'join',
    );
    for (const listener of this.#unseenListeners) listener(write);
  }

  /** For readers whose memory would have a gap where a room is not in memory. */
  onUnseen(listener: (write: RoomWrite) => void): void {
    this.#unseenListeners.push(listener);
  }

  appended(
    room: LiveRoom,
    events: readonly StoredEvent[],
    write: RoomWrite,
    isOurs: boolean,
  ): void {
    const last = events.at(-1)?.streamPos;
    if (last !== undefined) this.#activity.record(room.nid, last);
    this.usersChanged(room.nid, room.id, write);
    this.#notifier.markRoom(room.nid, room.joinedLocalUsers);
    for (const listener of this.#listeners) listener(room, events, write, isOurs);
  }

  /** Memberships that a write changed, for a room in memory or one known only by an invite. */
  usersChanged(roomNid: number, roomId: LiveRoom['id'], write: RoomWrite): void {
    if (write.changes.length === 0) return;
    const positions = new Map(write.events.map((row) => [row.eventNid, row.streamPos]));
    for (const { causedByNid, users } of write.changes) {
      const streamPos = positions.get(causedByNid) ?? 0;
      for (const row of users) {
        const userId = row.userId as UserId;
        if (serverNameOf(userId) !== this.#localServer) continue;
        const before = this.#userRooms.cached(userId)?.get(roomNid);
        const same = before?.membership === row.membership;
        this.#userRooms.apply(userId, {
          roomNid,
          roomId,
          membership: row.membership,
          eventNid: row.eventNid,
          streamPos,
          membershipPos: same ? before.membershipPos : streamPos,
          forgotten: same && before.forgotten,
          strippedState: row.strippedState ?? undefined,
        });
        this.#notifier.mark([userId]);
      }
    }
  }
}
