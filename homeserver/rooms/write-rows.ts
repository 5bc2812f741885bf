/** Rows for the log from what memory holds. */
import type { MatrixEvent } from '../../spec/event.ts';
import {
  fitsInBytes,
  isEventId,
  isWellFormedText,
  MAX_IDENTIFIER_BYTES,
} from '../../spec/identifiers.ts';
import { pushMarkOf } from '../push/push-mark.ts';
import type { EventRow, RoomWrite, SnapshotRow } from '../storage/room-write.ts';
import { relationOf } from './relations.ts';
import type { StateSnapshot } from './state-snapshot.ts';
import { membershipOf, type StoredEvent } from './stored-event.ts';

export const outlierRow = (stored: StoredEvent, json: string): EventRow => ({
  ...rowOf(stored, json),
  place: 'outlier',
});

/** Room versions 1 to 5 let events claim any time at all. */
const inBigintRange = (ms: number): number =>
  Math.max(Number.MIN_SAFE_INTEGER, Math.min(ms, Number.MAX_SAFE_INTEGER));

export const rowOf = (stored: StoredEvent, json: string): EventRow => ({
  roomNid: stored.roomNid,
  roomId: stored.event.roomId,
  eventNid: stored.nid,
  eventId: stored.event.eventId,
  type: stored.event.type,
  stateKey: stored.event.stateKey ?? null,
  membership: membershipOf(stored.event) ?? null,
  sender: stored.event.sender,
  depth: stored.event.depth,
  originServerTs: inBigintRange(stored.event.originServerTs),
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
  txnTarget: null,
  json,
  relation: indexedRelation(stored.event),
  promoted: false,
  pushMark: pushMarkOf(stored.event, stored.softFailed || stored.rejectedReason !== undefined),
});

/** State events relate to nothing: https://spec.matrix.org/v1.19/client-server-api/#mrelates_to */
const indexedRelation = (event: MatrixEvent): EventRow['relation'] => {
  const relation = event.stateKey === undefined ? relationOf(event.content) : undefined;
  return relation !== undefined && isEventId(relation.eventId) && isIndexable(relation.type)
    ? { parentId: relation.eventId, type: relation.type }
    : undefined;
};

const isIndexable = (text: string): boolean =>
  fitsInBytes(text, MAX_IDENTIFIER_BYTES) && !text.includes('\u0000') && isWellFormedText(text);

export const snapshotRow = (roomNid: number, snapshot: StateSnapshot): SnapshotRow => ({
  roomNid,
  snapshotNid: snapshot.nid,
  height: snapshot.height,
  below: snapshot.below(),
  eventNids: snapshot.storedEventNids(),
});

/** With `create` for the room's first write. */
export const emptyWrite = (roomNid: number, create?: RoomWrite['create']): RoomWrite => ({
  roomNid,
  create,
  head: undefined,
  events: [],
  snapshots: [],
  changes: [],
  serverChanges: [],
  memberChanges: [],
  outsiders: [],
  missingPrevEvents: [],
  foundPrevEvents: [],
  chainPlaces: [],
  chainLinks: [],
  redactions: [],
  unappliedRedactions: [],
  awaitedTargets: [],
});
