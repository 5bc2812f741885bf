/** Rows for the log from what memory holds. */
import type { EventRow, RoomWrite, SnapshotRow } from '../storage/room-write.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import { membershipOf, type StoredEvent } from './stored-event.ts';

export const outlierRow = (stored: StoredEvent, json: string): EventRow => ({
  ...rowOf(stored, json),
  place: 'outlier',
});

export const rowOf = (stored: StoredEvent, json: string): EventRow => ({
  roomNid: stored.roomNid,
  eventNid: stored.nid,
  eventId: stored.event.eventId,
  type: stored.event.type,
  stateKey: stored.event.stateKey ?? null,
  membership: membershipOf(stored.event) ?? null,
  sender: stored.event.sender,
  depth: stored.event.depth,
  originServerTs: stored.event.originServerTs,
  place: 'live',
  streamPos: stored.streamPos ?? null,
  backfillPos: stored.backfillPos,
  snapshotBefore: stored.snapshotBefore ?? null,
  snapshotAfter: stored.snapshotAfter ?? null,
  currentSnapshot: stored.currentSnapshot ?? null,
  replacesNid: stored.replacesNid ?? null,
  rejectedReason: stored.rejectedReason ?? null,
  softFailed: stored.softFailed,
  relayed: false,
  senderDevice: stored.senderDevice ?? null,
  txnId: stored.txnId ?? null,
  json,
  promoted: false,
});

export const snapshotRow = (roomNid: number, snapshot: StateSnapshot): SnapshotRow => ({
  roomNid,
  snapshotNid: snapshot.nid,
  height: snapshot.height,
  chain: snapshot.chain(),
  eventNids: snapshot.storedEventNids(),
});

export const emptyWrite = (roomNid: number): RoomWrite => ({
  roomNid,
  events: [],
  snapshots: [],
  changes: [],
  serverChanges: [],
  missingPrevEvents: [],
  foundPrevEvents: [],
  chainPlaces: [],
  chainLinks: [],
  redactions: [],
  unappliedRedactions: [],
});
