/**
 * What a stream gives to sync: one interface, one file per stream, one list (sync-streams in
 * core.ts). Sync loops over the list; so does the token, through `SyncToken`.
 */
import type { Filter } from '../../spec/filter.ts';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { UserRoom } from '../rooms/user-rooms.ts';
import type { SyncResponse } from './response.ts';
import type { SyncToken } from './tokens.ts';

export interface SyncContext {
  readonly userId: UserId;
  readonly deviceId: DeviceId | undefined;
  readonly filter: Filter;
  /** Undefined for a first sync. */
  readonly from: SyncToken | undefined;
  /** One response reads one snapshot: nothing above this is reported. */
  readonly to: SyncToken;
  readonly fullState: boolean;
  readonly useStateAfter: boolean;
  /** The user's rooms as of `to`, those the filter leaves out and forgotten ones excepted. */
  readonly rooms: readonly UserRoom[];
  /**
   * Those of them with something new after `from`: events, receipts or the user's own membership; all
   * of them where everything is asked for. Perhaps some more, never fewer.
   */
  readonly changedRooms: readonly UserRoom[];
  readonly ignoredUsers: ReadonlySet<UserId>;
}

export interface SyncStream {
  readonly name: string;
  /**
   * Begins to load what is of the user's own and will be needed, where it is not in memory. Asked
   * before a user is read for the first time, of many at once: each kind is then read together.
   */
  prepare?(context: SyncContext): unknown;
  /**
   * Adds what is new after `from`, up to `to`. Stays synchronous where memory suffices, so that a
   * client that keeps up costs no more than what it is sent.
   */
  collect(context: SyncContext, response: SyncResponse): Promise<void> | undefined;
}

/** Whether the user joined the room after `from`, so that it is new to this sync. */
export const isNewlyJoined = (context: SyncContext, room: UserRoom): boolean =>
  context.from === undefined || room.membershipPos > context.from.position;
