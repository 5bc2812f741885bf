/**
 * Who the senders of events were when they sent them, for clients that load members lazily.
 * https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members
 */
import { stateKeyOf } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { EventView } from './client-events.ts';
import type { EventStore } from './event-store.ts';
import type { RoomAccess } from './room-access.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { StoredEvent } from './stored-event.ts';

export class Senders {
  readonly #events: EventStore;
  readonly #snapshots: SnapshotStore;

  constructor(events: EventStore, snapshots: SnapshotStore) {
    this.#events = events;
    this.#snapshots = snapshots;
  }

  /** The member event of each sender that was in force at the newest of their events here. */
  async of(access: RoomAccess, views: readonly EventView[]): Promise<EventView[]> {
    const newest = new Map<UserId, StoredEvent>();
    for (const { stored } of views) {
      const known = newest.get(stored.event.sender);
      if (known === undefined || isAfter(stored, known)) newest.set(stored.event.sender, stored);
    }
    const nids: number[] = [];
    const past: { sender: UserId; snapshotNid: number }[] = [];
    for (const [sender, stored] of newest) {
      const present = presentMember(access, sender, stored);
      const snapshotNid = snapshotOf(stored);
      if (present !== undefined) nids.push(present);
      else if (snapshotNid !== undefined) past.push({ sender, snapshotNid });
    }
    const { nid: roomNid } = access.room;
    const states = await this.#snapshots.loadMany(
      roomNid,
      new Set(past.map(({ snapshotNid }) => snapshotNid)),
    );
    for (const { sender, snapshotNid } of past) {
      const ref = states.get(snapshotNid)?.get(stateKeyOf('m.room.member', sender));
      if (ref !== undefined) nids.push(ref.nid);
    }
    const found = await this.#events.manyByNid(roomNid, nids);
    return access.stateViews([...found.values()]);
  }
}

/** Most have the name they had. A nid is older than another's if it was given out before. */
const presentMember = (
  { room, standing }: RoomAccess,
  sender: UserId,
  sent: StoredEvent,
): number | undefined => {
  if (standing !== 'member' || sent.backfillPos !== 0) return undefined;
  const present = room.committed.stateRef('m.room.member', sender);
  return present?.membership === 'join' && present.nid < sent.nid ? present.nid : undefined;
};

/** The state that says who the sender was: of those who leave, the one before. */
const snapshotOf = ({ event, snapshotBefore, snapshotAfter }: StoredEvent): number | undefined => {
  const isOwn = event.type === 'm.room.member' && event.stateKey === event.sender;
  return isOwn && event.content['membership'] !== 'join' ? snapshotBefore : snapshotAfter;
};

const isAfter = (a: StoredEvent, b: StoredEvent): boolean =>
  (a.streamPos ?? 0) > (b.streamPos ?? 0) ||
  (a.streamPos === b.streamPos && a.backfillPos > b.backfillPos);
