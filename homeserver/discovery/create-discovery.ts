/** What people look things up with, built on the core. */
import type { Core } from '../core.ts';
import { type History, type HistoryFiller, noHistoryFiller } from '../rooms/history.ts';
import { noRemoteRooms, type RemoteRooms } from '../rooms/remote-rooms.ts';
import type { RestrictedJoins } from '../rooms/restricted-joins.ts';
import { EventSearch } from './event-search.ts';
import { EventsByTime } from './events-by-time.ts';
import { MutualRooms } from './mutual-rooms.ts';
import { RelatedEvents } from './related-events.ts';
import { RemoteSummaries } from './remote-summaries.ts';
import { RoomSummaries } from './room-summaries.ts';
import { SpaceHierarchy } from './space-hierarchy.ts';
import { UserDirectory } from './user-directory.ts';

export interface Discovery {
  readonly eventSearch: EventSearch;
  readonly eventsByTime: EventsByTime;
  readonly mutualRooms: MutualRooms;
  readonly relatedEvents: RelatedEvents;
  readonly roomSummaries: RoomSummaries;
  readonly remoteSummaries: RemoteSummaries;
  readonly spaceHierarchy: SpaceHierarchy;
  readonly userDirectory: UserDirectory;
  /** Waits until the indexes are at rest. */
  close(): Promise<void>;
}

export const createDiscovery = (
  core: Core,
  history: History,
  restrictedJoins: RestrictedJoins,
  remote: RemoteRooms = noRemoteRooms,
  filler: HistoryFiller = noHistoryFiller,
): Discovery => {
  const roomSummaries = new RoomSummaries({ ...core, restrictedJoins });
  const remoteSummaries = new RemoteSummaries({ ...core, remote });
  const userDirectory = new UserDirectory(core);
  const eventSearch = new EventSearch({ ...core, history });
  return {
    eventSearch,
    eventsByTime: new EventsByTime({ ...core, db: core.database, filler }),
    mutualRooms: new MutualRooms(core.database),
    relatedEvents: new RelatedEvents({ ...core, db: core.database, history }),
    roomSummaries,
    remoteSummaries,
    spaceHierarchy: new SpaceHierarchy({ ...core, summaries: roomSummaries, remoteSummaries }),
    userDirectory,
    close: async () => {
      await Promise.all([userDirectory.close(), eventSearch.close()]);
    },
  };
};
