/**
 * When a person was in a room: told from their member events, each of which names the one it
 * replaced.
 */
import type { EventStore } from './event-store.ts';
import type { StoredEvent } from './stored-event.ts';

/** A time during which someone was joined, in positions of the log. */
export interface Stay {
  readonly from: number;
  /** Position of the event that ended it; no end while it lasts. */
  readonly to: number;
}

export interface MembershipHistory {
  /** Newest first. */
  readonly stays: readonly Stay[];
  /** The event by which they ceased to be joined; undefined for who is joined, or never was. */
  readonly departure: StoredEvent | undefined;
}

/** How far back a chain of member events is followed: leave, ban, unban, new names, … */
const maxMemberEvents = 100;

/**
 * @param memberNid of the person's present member event
 * @param maxStays where fewer than all suffice, reading ends with them
 */
export const membershipHistory = async (
  events: EventStore,
  roomNid: number,
  memberNid: number,
  maxStays = Number.POSITIVE_INFINITY,
): Promise<MembershipHistory> => {
  const stays: { from: number; to: number }[] = [];
  let departure: StoredEvent | undefined;
  let later: StoredEvent | undefined;
  let nid: number | undefined = memberNid;
  for (let count = 0; nid !== undefined && count < maxMemberEvents; count += 1) {
    const stored: StoredEvent | undefined = await events.byNid(roomNid, nid);
    if (stored === undefined) break;
    const isJoin = stored.event.content['membership'] === 'join';
    const wasJoin = later?.event.content['membership'] === 'join';
    if (isJoin && !wasJoin) {
      if (stays.length === 0) departure = later;
      // An outlier has no position: nothing is known to have been seen by then.
      stays.push({ from: stored.streamPos ?? Infinity, to: endOf(later) });
    } else if (isJoin) {
      const stay = stays.at(-1);
      if (stay !== undefined && stored.streamPos !== undefined) stay.from = stored.streamPos;
    } else if (stays.length >= maxStays) break;
    later = stored;
    nid = stored.replacesNid;
  }
  return { stays, departure };
};

const endOf = (departure: StoredEvent | undefined): number =>
  departure === undefined ? Infinity : (departure.streamPos ?? -1);
