/**
 * What the core asks of other servers; `federation/` provides it. Every event answered is of the
 * room asked about and has passed the first three checks on receipt: format, signatures, and hashes
 * (redacted where the content hash was wrong).
 */
import type { MatrixEvent } from '../../spec/event.ts';
import type { EventId, RoomId, ServerName } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';

/**
 * Another server could not be asked, or did not tell what it should have. Asking again, or asking
 * another one, may help.
 */
export class RemoteFailure extends Error {
  override readonly name: string = 'RemoteFailure';
}

export interface RoomOfVersion {
  readonly id: RoomId;
  readonly rules: RoomVersionRules;
}

/**
 * Methods reject with a RemoteFailure when the server cannot be reached or refuses; answers are
 * bounded in size.
 */
export interface RemoteEvents {
  /** Events between `earliest`, which are known here, and `latest`, in no particular order. */
  missingEvents(
    server: ServerName,
    room: RoomOfVersion,
    ask: {
      readonly latest: readonly EventId[];
      readonly earliest: readonly EventId[];
      readonly limit: number;
      readonly minDepth: number;
    },
  ): Promise<MatrixEvent[]>;
  /** Those of the events that the server has. */
  events(
    server: ServerName,
    room: RoomOfVersion,
    eventIds: readonly EventId[],
  ): Promise<MatrixEvent[]>;
  /** The state before an event. */
  stateIds(
    server: ServerName,
    room: RoomOfVersion,
    eventId: EventId,
  ): Promise<{ stateIds: EventId[]; authChainIds: EventId[] }>;
  /** The state before an event, in full: whatever the server counts as a part of it. */
  state(
    server: ServerName,
    room: RoomOfVersion,
    eventId: EventId,
  ): Promise<{ state: MatrixEvent[]; authChain: MatrixEvent[] }>;
  /** The auth chain of an event. */
  eventAuth(server: ServerName, room: RoomOfVersion, eventId: EventId): Promise<MatrixEvent[]>;
  /** Up to `limit` events at and before those named. */
  backfill(
    server: ServerName,
    room: RoomOfVersion,
    from: readonly EventId[],
    limit: number,
  ): Promise<MatrixEvent[]>;
}
