/** What one process has in memory of a room, to be held against what another one has. */
import type { LiveRoom } from '../rooms/live-room.ts';

/** Everything that a process knows of a room, in an order of its own. */
export const knownOf = (room: LiveRoom) => ({
  heads: room.extremities.map(({ event }) => event.eventId).sort(),
  depth: room.nextDepth,
  state: [...room.state.entries()].map(([key, { eventId }]) => `${key} ${eventId}`).sort(),
  shown: [...room.committed.state.entries()]
    .map(([key, { eventId }]) => `${key} ${eventId}`)
    .sort(),
  counts: [room.committed.joinedCount, room.committed.invitedCount, room.joinedCount],
  local: [...room.joinedLocalUsers].sort(),
  servers: [...room.committedServers].sort(),
  waiting: [...room.unappliedRedactions.keys()].sort(),
  missing: [...room.missingPrevEvents.keys()].sort(),
});
