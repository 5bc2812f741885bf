/** An event as the log holds it: the event itself and what this server knows about it. */
import type { MatrixEvent, Pdu } from '../../spec/event.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';

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
  readonly replacesNid: number | undefined;
  readonly rejectedReason: string | undefined;
  readonly softFailed: boolean;
  readonly redactedByNid: number | undefined;
  readonly senderDevice: string | undefined;
  readonly txnId: string | undefined;
}

/** What `content.membership` says, for a member event. */
export const membershipOf = (event: MatrixEvent): string | undefined => {
  if (event.type !== 'm.room.member') return undefined;
  const { membership } = event.content;
  return typeof membership === 'string' ? membership : undefined;
};

const referencedId = (reference: string | [string, unknown]): EventId =>
  (typeof reference === 'string' ? reference : reference[0]) as EventId;

/** Wraps a PDU that was checked when it came in: nothing is verified or hashed again. */
export const eventFromStorage = (eventId: EventId, roomId: RoomId, pdu: Pdu): MatrixEvent => ({
  eventId,
  roomId,
  type: pdu.type,
  stateKey: pdu.state_key,
  sender: pdu.sender as UserId,
  content: pdu.content,
  originServerTs: pdu.origin_server_ts,
  depth: pdu.depth,
  prevEventIds: pdu.prev_events.map(referencedId),
  authEventIds: pdu.auth_events.map(referencedId),
  pdu,
});
