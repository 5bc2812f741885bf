/** The routes by which people find people, rooms and events. */
import type { Discovery } from '../../homeserver/discovery/create-discovery.ts';
import type { Route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { getEventByTimestamp } from './get-event-by-timestamp.ts';
import { getMutualRooms } from './get-mutual-rooms.ts';
import { getRelatingEvents } from './get-relating-events.ts';
import { getRoomSummary } from './get-room-summary.ts';
import { getSpaceHierarchy } from './get-space-hierarchy.ts';
import { getThreadRoots } from './get-thread-roots.ts';
import { search } from './search.ts';
import { searchUserDirectory } from './search-user-directory.ts';

export const discoveryRoutes = (
  deps: Pick<
    ClientApiDeps,
    | 'auth'
    | 'clientEvents'
    | 'registry'
    | 'roomAliases'
    | 'roomState'
    | 'history'
    | keyof Omit<Discovery, 'close'>
  >,
): Route[] => [
  searchUserDirectory(deps),
  search(deps),
  getEventByTimestamp(deps),
  ...getRelatingEvents(deps),
  getThreadRoots(deps),
  getSpaceHierarchy(deps),
  getRoomSummary(deps),
  getMutualRooms(deps),
];
