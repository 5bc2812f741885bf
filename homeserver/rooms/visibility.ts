/**
 * Who may see which events of a room.
 * https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
import { stateKeyOf } from '../../spec/event.ts';
import {
  historyVisibilityOf,
  type Membership,
  mayUserSee,
  type UserStanding,
} from '../../spec/history-visibility.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { EventView } from './client-events.ts';
import type { EventStore } from './event-store.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';
import type { UserRoom } from './user-rooms.ts';

const visibilityKey = stateKeyOf('m.room.history_visibility', '');
/** How far back a chain of replaced member events is followed: leave, ban, unban, … */
const maxMemberEvents = 20;

export class Visibility {
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;

  constructor(events: EventStore, snapshots: SnapshotStore) {
    this.#events = events;
    this.#snapshots = snapshots;
  }

  /**
   * The events this user may see, in the order given, with the user's membership at each. `room` is
   * the user's row for the events' room; undefined if they never had to do with it.
   */
  async visibleTo(
    userId: UserId,
    room: UserRoom | undefined,
    events: readonly StoredEvent[],
  ): Promise<EventView[]> {
    const lastJoined = await this.#lastJoined(room);
    const visible: EventView[] = [];
    for (const stored of events) {
      const view = await this.#viewOf(userId, stored, lastJoined);
      if (view !== undefined) visible.push(view);
    }
    return visible;
  }

  /** What the room's history visibility is in a state. */
  async settingIn(roomNid: number, state: StateSnapshot) {
    const ref = state.get(visibilityKey);
    const stored = ref === undefined ? undefined : await this.#events.byNid(roomNid, ref.nid);
    return historyVisibilityOf(stored?.event.content);
  }

  async #viewOf(
    userId: UserId,
    stored: StoredEvent,
    lastJoined: number,
  ): Promise<EventView | undefined> {
    const { snapshotBefore, snapshotAfter, roomNid } = stored;
    if (snapshotBefore === undefined || snapshotAfter === undefined) return undefined;
    const before = await this.#standing(userId, roomNid, snapshotBefore);
    const after =
      snapshotAfter === snapshotBefore
        ? before
        : await this.#standing(userId, roomNid, snapshotAfter);
    const joinedLater = (stored.streamPos ?? Number.POSITIVE_INFINITY) <= lastJoined;
    if (!mayUserSee({ before, after, joinedLater })) return undefined;
    return { stored, membership: after.membership ?? 'leave' };
  }

  async #standing(userId: UserId, roomNid: number, snapshotNid: number): Promise<UserStanding> {
    const state = await this.#snapshots.load(roomNid, snapshotNid);
    const member = state.get(stateKeyOf('m.room.member', userId));
    return {
      visibility: await this.settingIn(roomNid, state),
      membership: member?.membership as Membership,
    };
  }

  /** The latest position at which the user was joined: -1 if never, no end while they are. */
  async #lastJoined(room: UserRoom | undefined): Promise<number> {
    if (room === undefined) return -1;
    if (room.membership === 'join') return Number.POSITIVE_INFINITY;
    let nid: number | undefined = room.eventNid;
    let left = -1;
    for (let count = 0; nid !== undefined && count < maxMemberEvents; count += 1) {
      const stored: StoredEvent | undefined = await this.#events.byNid(room.roomNid, nid);
      if (stored === undefined) return -1;
      if (stored.event.content['membership'] === 'join') return left;
      left = stored.streamPos ?? -1;
      nid = stored.replacesNid;
    }
    return -1;
  }
}
