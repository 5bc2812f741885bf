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

/** What a user was to a room, by state snapshot. */
type Standings = ReadonlyMap<number, UserStanding>;

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
    const [first] = events;
    if (first === undefined) return [];
    const lastJoined = await this.#lastJoined(room);
    const standings = await this.#standings(userId, first.roomNid, events);
    return events.flatMap((stored) => {
      const view = viewOf(stored, standings, lastJoined);
      return view === undefined ? [] : [view];
    });
  }

  /** What the room's history visibility is in a state. */
  async settingIn(roomNid: number, state: StateSnapshot) {
    const ref = state.get(visibilityKey);
    const stored = ref === undefined ? undefined : await this.#events.byNid(roomNid, ref.nid);
    return historyVisibilityOf(stored?.event.content);
  }

  /** What the user was to the room in the states before and after these events, by snapshot. */
  async #standings(
    userId: UserId,
    roomNid: number,
    events: readonly StoredEvent[],
  ): Promise<Standings> {
    const wanted = new Set<number>();
    for (const { snapshotBefore, snapshotAfter } of events) {
      if (snapshotBefore !== undefined) wanted.add(snapshotBefore);
      if (snapshotAfter !== undefined) wanted.add(snapshotAfter);
    }
    const states = await this.#snapshots.loadMany(roomNid, wanted);
    const settings = new Set<number>();
    for (const state of states.values()) {
      const ref = state.get(visibilityKey);
      if (ref !== undefined) settings.add(ref.nid);
    }
    const settingEvents = await this.#events.manyByNid(roomNid, settings);
    const memberKey = stateKeyOf('m.room.member', userId);
    const standings = new Map<number, UserStanding>();
    for (const nid of wanted) {
      const state = states.get(nid);
      const setting = state?.get(visibilityKey);
      const settingEvent = setting === undefined ? undefined : settingEvents.get(setting.nid);
      standings.set(nid, {
        visibility: historyVisibilityOf(settingEvent?.event.content),
        membership: state?.get(memberKey)?.membership as Membership,
      });
    }
    return standings;
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

const viewOf = (
  stored: StoredEvent,
  standings: Standings,
  lastJoined: number,
): EventView | undefined => {
  const { snapshotBefore, snapshotAfter } = stored;
  if (snapshotBefore === undefined || snapshotAfter === undefined) return undefined;
  const before = standings.get(snapshotBefore);
  const after = standings.get(snapshotAfter);
  if (before === undefined || after === undefined) return undefined;
  const joinedLater = (stored.streamPos ?? Number.POSITIVE_INFINITY) <= lastJoined;
  if (!mayUserSee({ before, after, joinedLater })) return undefined;
  return { stored, membership: after.membership ?? 'leave' };
};
