/**
 * What of a room's states decides for one reader, along a stretch of its timeline: found by going
 * back from the state at the end, without reading the states between. Each event knows what it
 * replaced, and the states before and after it by id; where these do not join on to what is known,
 * as at a fork, nothing is said.
 */
import { stateKeyOf } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import { membershipOf, type StoredEvent } from './stored-event.ts';

/** Of one state: the event with the history visibility, and what the reader was to the room. */
export interface Trace {
  readonly settingNid: number | undefined;
  readonly membership: string | undefined;
}

/** Events of a room in timeline order, and a state: that after the last of them, if all goes well. */
export interface KnownEnd {
  readonly state: StateSnapshot;
  readonly events: readonly StoredEvent[];
}

const visibilityType = 'm.room.history_visibility';
const visibilityKey = stateKeyOf(visibilityType, '');

export const traceIn = (state: StateSnapshot, userId: UserId): Trace => ({
  settingNid: state.get(visibilityKey)?.nid,
  membership: state.get(stateKeyOf('m.room.member', userId))?.membership,
});

/**
 * By the nid of the state.
 * @param find what is at hand of events that others replaced
 */
export const tracesAlong = (
  userId: UserId,
  { state, events }: KnownEnd,
  find: (nid: number) => StoredEvent | undefined,
): Map<number, Trace> => {
  const traces = new Map([[state.nid, traceIn(state, userId)]]);
  for (let index = events.length - 1; index >= 0; index -= 1) {
    const stored = events[index] as StoredEvent;
    const { snapshotBefore, snapshotAfter } = stored;
    if (snapshotBefore === undefined || snapshotAfter === undefined) continue;
    const after = traces.get(snapshotAfter);
    if (after === undefined || traces.has(snapshotBefore)) continue;
    const before = traceBefore(userId, stored, after, find);
    if (before !== undefined) traces.set(snapshotBefore, before);
  }
  return traces;
};

const traceBefore = (
  userId: UserId,
  { event, replacesNid }: StoredEvent,
  after: Trace,
  find: (nid: number) => StoredEvent | undefined,
): Trace | undefined => {
  if (event.type === visibilityType && event.stateKey === '') {
    return { settingNid: replacesNid, membership: after.membership };
  }
  if (event.type !== 'm.room.member' || event.stateKey !== userId) return after;
  if (replacesNid === undefined) return { settingNid: after.settingNid, membership: undefined };
  const replaced = find(replacesNid);
  return replaced && { settingNid: after.settingNid, membership: membershipOf(replaced.event) };
};
