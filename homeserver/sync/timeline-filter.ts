/** The reader's filter and ignored users, as a question about one event. */
import type { Accept } from '../rooms/timeline.ts';
import type { SyncContext } from './sync-stream.ts';

/**
 * Whether a timeline event is shown. Events of ignored users are not, unless they are state, which
 * clients need whoever set it. https://spec.matrix.org/v1.19/client-server-api/#ignoring-users
 */
export const isAcceptable = ({ filter, ignoredUsers }: SyncContext): Accept => {
  const { timeline } = filter.room;
  return ({ event }) =>
    (ignoredUsers.size === 0 || event.stateKey !== undefined || !ignoredUsers.has(event.sender)) &&
    timeline.matchesRoom(event.roomId) &&
    timeline.matchesEvent(event);
};
