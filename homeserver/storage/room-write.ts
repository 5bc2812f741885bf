/** What one write to one room holds: the rows that the log's section of room events takes. */

export interface EventRow {
  roomNid: number;
  roomId: string;
  eventNid: number;
  eventId: string;
  type: string;
  stateKey: string | null;
  membership: string | null;
  sender: string;
  depth: number;
  /** In the range of safe integers, whatever the event says. */
  originServerTs: number;
  /**
   * `live`: the log assigns `streamPos`. `filled`: the row carries its own place before a live
   * event. `outlier`: no place in the timeline. `announced`: an outlier whose effect on users has a
   * position, given back in `streamPos`: an invite to a room this server is not in.
   */
  place: 'live' | 'filled' | 'outlier' | 'announced';
  streamPos: number | null;
  backfillPos: number;
  snapshotBefore: number | null;
  snapshotAfter: number | null;
  currentSnapshot: number | null;
  replacesNid: number | null;
  rejectedReason: string | null;
  softFailed: boolean;
  /** Passed on to the other servers in the room. */
  relayed: boolean;
  senderDevice: string | null;
  txnId: string | null;
  /** The event that the path of the request names besides: a redaction's target. */
  txnTarget: string | null;
  json: string;
  /** The event this one relates to, and how. */
  relation: { parentId: string; type: string } | undefined;
  /** The event is there as an outlier, and its row takes its place in the timeline. */
  promoted: boolean;
  /** What it means to people with the predefined push rules; see push/push-mark.ts. */
  pushMark: number;
}

export interface SnapshotRow {
  roomNid: number;
  snapshotNid: number;
  height: number;
  /** The snapshots it builds on, nearest first. */
  below: readonly number[];
  /** Those it sets, and the negated ones that it removes. */
  eventNids: readonly number[];
}

export interface StateChangeRow {
  type: string;
  stateKey: string;
  /** 0 removes the entry. */
  eventNid: number;
  /** Null where it is removed. */
  eventId: string | null;
  /** What was the entry, where it is removed; 0 otherwise. */
  removedNid: number;
  membership: string | null;
}

export interface UserRoomRow {
  userId: string;
  membership: string;
  eventNid: number;
  strippedState: string | null;
}

export interface RoomCreation {
  readonly roomId: string;
  /** That of the create event, which the write or one before it holds; null without one. */
  readonly version: string | null;
  readonly createdAtMs: number;
}

/** One write to one room. `changes` are the effect of the last live event on the current state. */
export interface RoomWrite {
  readonly roomNid: number;
  /** Set with the room's first write, and with the one that brings the room's create event. */
  readonly create: RoomCreation | undefined;
  readonly events: EventRow[];
  readonly snapshots: SnapshotRow[];
  /** Undefined when the write leaves the extremities alone (outliers, filled gaps). */
  head:
    | {
        extremities: readonly number[];
        snapshotNid: number;
        /** Members in the state of the snapshot. */
        joined: number;
        invited: number;
      }
    | undefined;
  /** The live event (by nid) that brings these changes about. */
  readonly changes: { causedByNid: number; rows: StateChangeRow[]; users: UserRoomRow[] }[];
  /** Other servers whose first member came or whose last one went. */
  readonly serverChanges: { causedByNid: number; server: string; joined: boolean }[];
  /** Users who have come or gone. */
  readonly memberChanges: { causedByNid: number; userId: string; joined: boolean }[];
  /** Servers outside the room that get one event all the same: it ends what their user had to do with it. */
  readonly outsiders: { eventNid: number; server: string }[];
  readonly missingPrevEvents: { eventId: string; referencedByNid: number }[];
  /** Events that were missing and are now here. */
  readonly foundPrevEvents: string[];
  readonly chainPlaces: { eventNid: number; chainNid: number; seq: number }[];
  /** From places that the same write brings. */
  readonly chainLinks: { fromChain: number; fromSeq: number; toChain: number; toSeq: number }[];
  /** Redactions whose target is not here yet. */
  readonly unappliedRedactions: { eventId: string; redactionNid: number }[];
  /** Events that redactions have waited for, and that are here now. */
  readonly awaitedTargets: string[];
  /** Redactions to apply to stored events: the redacted JSON and the redaction's nid. */
  readonly redactions: { eventNid: number; redactedByNid: number; json: string }[];
}
