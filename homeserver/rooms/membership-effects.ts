/** What a change of a room's current state means for the rows kept beside it. */
import type { StateKey } from '../../spec/event.ts';
import { splitStateKey } from '../../spec/event.ts';
import { serverNameOf } from '../../spec/identifiers.ts';
import type { RoomWrite, StateChangeRow, UserRoomRow } from '../storage/event-section.ts';
import type { EventStore } from './event-store.ts';
import { type LiveRoom, memberOfKey } from './live-room.ts';
import type { Removed, StateRef } from './state-snapshot.ts';
import type { StoredEvent } from './stored-event.ts';
import { introducingEvents, strippedStateJson } from './stripped-state.ts';

export class MembershipEffects {
  readonly #events: EventStore;

  constructor(events: EventStore) {
    this.#events = events;
  }

  /** The room has already moved to the new state. */
  async rowsFor(
    room: LiveRoom,
    cause: StoredEvent,
    changes: ReadonlyMap<StateKey, StateRef | Removed>,
  ): Promise<RoomWrite['changes'][number]> {
    const rows: StateChangeRow[] = [];
    const users: UserRoomRow[] = [];
    for (const [key, after] of changes) {
      const [type, stateKey] = splitStateKey(key);
      const removed = 'removedNid' in after;
      const membership = removed ? null : (after.membership ?? null);
      rows.push(
        removed
          ? { type, stateKey, eventNid: 0, eventId: null, removedNid: after.removedNid, membership }
          : {
              type,
              stateKey,
              eventNid: after.nid,
              eventId: after.eventId,
              removedNid: 0,
              membership,
            },
      );
      const userId = memberOfKey(key);
      if (userId === undefined) continue;
      users.push({
        userId,
        // State resolution can leave someone without a member event: they are not in the room.
        membership: membership ?? 'leave',
        eventNid: removed ? after.removedNid : after.nid,
        strippedState: await this.#strippedState(room, userId, after),
      });
    }
    return { causedByNid: cause.nid, rows, users };
  }

  async #strippedState(
    room: LiveRoom,
    userId: string,
    after: StateRef | Removed,
  ): Promise<string | null> {
    if ('removedNid' in after) return null;
    if (after.membership !== 'invite' && after.membership !== 'knock') return null;
    if (serverNameOf(userId as never) !== room.localServer) return null;
    const stored = await this.#events.byNid(room.nid, after.nid);
    if (stored === undefined) return null;
    const shown = await introducingEvents(this.#events, room.nid, room.state, stored.event.sender);
    return strippedStateJson(shown, stored.event);
  }
}
