/** An event as the log holds it: the event itself and what this server knows about it. */
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { redactEvent } from '../../spec/redaction.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import { bytesOfJson } from '../memory-budget.ts';
import type { StateRef } from './state-snapshot.ts';

export interface StoredEvent {
  readonly nid: number;
  readonly roomNid: number;
  readonly event: MatrixEvent;
  /** Undefined for an outlier: an event known to auth or state, but not placed in the timeline. */
  readonly streamPos: number | undefined;
  /** 0 for a live event; below 0 for one filled into the gap before the live event `streamPos`. */
  readonly backfillPos: number;
  readonly snapshotBefore: number | undefined;
  readonly snapshotAfter: number | undefined;
  /** The room's current state once this event had been received; only of live events. */
  readonly currentSnapshot: number | undefined;
  readonly replacesNid: number | undefined;
  readonly rejectedReason: string | undefined;
  readonly softFailed: boolean;
  readonly redactedByNid: number | undefined;
  readonly senderDevice: string | undefined;
  readonly txnId: string | undefined;
}

/** A stored event in the hands of its writer, who fills in what the log decides. */
export type UnplacedEvent = { -readonly [Key in keyof StoredEvent]: StoredEvent[Key] };

/** Whether the event is in the timeline (or was refused a place there): its state is known. */
export const isPlaced = (stored: StoredEvent | undefined): boolean =>
  stored?.snapshotAfter !== undefined;

/** The objects around an event, and what is in one that was made here besides its content. */
const AROUND_BYTES = 600;
const OWN_FIELDS_BYTES = 1_000;

/**
 * What an event takes in memory, roughly. Of one that a device here sent only the content can be
 * large; what another server made may be so in any of its fields, and is looked through.
 */
export const bytesOfEvent = ({ event, senderDevice }: StoredEvent): number =>
  senderDevice === undefined
    ? AROUND_BYTES + bytesOfJson(event.pdu as unknown as JsonObject)
    : AROUND_BYTES + OWN_FIELDS_BYTES + bytesOfJson(event.content);

const memberships: ReadonlySet<unknown> = new Set(['ban', 'invite', 'join', 'knock', 'leave']);

/**
 * What `content.membership` says, for a member event. Events that say anything but the five that
 * there are are rejected, and may say what no column holds.
 */
export const membershipOf = (event: MatrixEvent): string | undefined => {
  if (event.type !== 'm.room.member') return undefined;
  const { membership } = event.content;
  return memberships.has(membership) ? (membership as string) : undefined;
};

/** An event as states know it. */
export const stateRefOf = ({ nid, event }: StoredEvent): StateRef => ({
  nid,
  eventId: event.eventId,
  membership: membershipOf(event),
});

/** The same with what the protocol needs alone, for those who may not see the rest. */
export const redactedCopy = (stored: StoredEvent, rules: RoomVersionRules): StoredEvent => ({
  ...stored,
  event: redactEvent(stored.event, rules),
});
