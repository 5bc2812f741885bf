/**
 * Who may see an event, given the state of the room at the event.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
import type { JsonObject } from './event.ts';

export type HistoryVisibility = 'world_readable' | 'shared' | 'invited' | 'joined';

/** What a user or server is to a room; `undefined` where there never was a membership event. */
export type Membership = 'join' | 'invite' | 'leave' | 'ban' | 'knock' | undefined;

/** The setting in the content of an `m.room.history_visibility` event, or without such an event. */
export const historyVisibilityOf = (content: JsonObject | undefined): HistoryVisibility => {
  const value = content?.['history_visibility'];
  return value === 'world_readable' || value === 'invited' || value === 'joined' ? value : 'shared';
};

/** The part of the room's state that decides for one user. */
export interface UserStanding {
  readonly visibility: HistoryVisibility;
  readonly membership: Membership;
}

export interface UserView {
  /** The state before the event. */
  readonly before: UserStanding;
  /**
   * The state after the event. It differs from `before` only for `m.room.history_visibility`
   * events and for the user's own `m.room.member` events, and those may be seen if either state
   * allows it; for all other events it may be left out.
   */
  readonly after?: UserStanding;
  /** Whether the user joined the room at any point after the event, even if they left again. */
  readonly joinedLater: boolean;
}

export const mayUserSee = ({ before, after = before, joinedLater }: UserView): boolean =>
  isVisibleTo(before, joinedLater) || (after !== before && isVisibleTo(after, joinedLater));

const isVisibleTo = ({ visibility, membership }: UserStanding, joinedLater: boolean): boolean => {
  // 1. If the history visibility was set to `world_readable`, allow.
  if (visibility === 'world_readable') return true;
  // 2. If the user's membership was `join`, allow.
  if (membership === 'join') return true;
  // 3. If it was set to `shared`, and the user joined at any point after the event, allow.
  if (visibility === 'shared' && joinedLater) return true;
  // 4. If the user's membership was `invite`, and it was set to `invited`, allow.
  if (visibility === 'invited' && membership === 'invite') return true;
  // 5. Otherwise, deny.
  return false;
};

export interface ServerStanding {
  readonly visibility: HistoryVisibility;
  /** Whether any user of the server was joined, and whether any was invited. */
  readonly hasJoinedUser: boolean;
  readonly hasInvitedUser: boolean;
}

export interface ServerView {
  /** As for users, with the memberships of all of the server's users in place of one's own. */
  readonly before: ServerStanding;
  readonly after?: ServerStanding;
  /** Whether any user of the server joined the room at any point after the event. */
  readonly joinedLater: boolean;
}

/**
 * A server may be given an event if any of its users may see it: it then keeps to itself what the
 * others may not. The content of other events is redacted before they are given away, so that the
 * graph stays whole.
 */
export const mayServerSee = ({ before, after = before, joinedLater }: ServerView): boolean =>
  isVisibleToServer(before, joinedLater) ||
  (after !== before && isVisibleToServer(after, joinedLater));

const isVisibleToServer = (
  { visibility, hasJoinedUser, hasInvitedUser }: ServerStanding,
  joinedLater: boolean,
): boolean =>
  isVisibleTo({ visibility, membership: hasJoinedUser ? 'join' : undefined }, joinedLater) ||
  (hasInvitedUser && isVisibleTo({ visibility, membership: 'invite' }, joinedLater));
