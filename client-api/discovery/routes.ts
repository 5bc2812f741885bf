/** The routes by which people find people, rooms and events. */
import type { Route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { getEventByTimestamp } from './get-event-by-timestamp.ts';
import { getMutualRooms } from './get-mutual-rooms.ts';
import { searchUserDirectory } from './search-user-directory.ts';

export const discoveryRoutes = (
  deps: Pick<ClientApiDeps, 'auth' | 'eventsByTime' | 'mutualRooms' | 'userDirectory'>,
): Route[] => [searchUserDirectory(deps), getEventByTimestamp(deps), getMutualRooms(deps)];
