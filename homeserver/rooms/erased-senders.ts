/**
 * What people who have been erased sent: whoever may have read it before still may; whoever came
 * later gets redacted copies. Member events count as theirs, other state as the room's.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate
 */
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { Db } from '../storage/database.ts';
import { erasedPositionsTogether } from '../storage/erasure.ts';
import type { EventView } from './client-events.ts';
import type { Stay } from './stays.ts';
import { redactedCopy, type StoredEvent } from './stored-event.ts';

export interface LateReader {
  readonly rules: RoomVersionRules;
  readonly localServer: ServerName;
  /** Whether the reader saw the event, or its sender cannot be gone: without asking further. */
  readonly knew: (view: EventView) => boolean;
  readonly stays: () => Promise<readonly Stay[]>;
}

/** The views, those redacted that the reader came too late for. */
export const withoutErased = async (
  db: Db,
  views: readonly EventView[],
  reader: LateReader,
): Promise<EventView[]> => {
  const { rules, localServer } = reader;
  const doubtful = new Set<EventView>();
  const users = new Set<UserId>();
  for (const view of views) {
    const theirs = ownersOf(view.stored, localServer);
    if (theirs.length === 0 || reader.knew(view)) continue;
    doubtful.add(view);
    for (const user of theirs) users.add(user);
  }
  if (users.size === 0) return [...views];
  const erased = await erasedPositionsTogether(db, users);
  if (erased.size === 0) return [...views];
  const stays = await reader.stays();
  const cameLate = (user: UserId, { streamPos }: StoredEvent): boolean => {
    const erasedPos = erased.get(user);
    if (erasedPos === undefined) return false;
    return !stays.some(({ from, to }) => from <= erasedPos && to >= (streamPos ?? Infinity));
  };
  return views.map((view) => {
    if (!doubtful.has(view)) return view;
    const { stored } = view;
    const late = ownersOf(stored, localServer).filter((user) => cameLate(user, stored));
    if (late.length === 0) return view;
    const hidden = new Set(view.hidden);
    // What the event replaced has the name they had.
    if (stored.replacesNid !== undefined) hidden.add(stored.replacesNid);
    const isTheirs = late.includes(stored.event.sender);
    return { ...view, stored: isTheirs ? redactedCopy(stored, rules) : stored, hidden };
  });
};

/** Users of this server whom an event tells of: its sender, and whose membership it is. */
const ownersOf = ({ event }: StoredEvent, localServer: ServerName): UserId[] => {
  const { sender, stateKey, type } = event;
  if (stateKey !== undefined && type !== 'm.room.member') return [];
  const users = stateKey === undefined || stateKey === sender ? [sender] : [sender, stateKey];
  return (users as UserId[]).filter((user) => serverNameOf(user) === localServer);
};
