/**
 * The state that comes along with an invite or a knock, by which a user sees what room it is about.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid
 * (`invite_room_state`) and
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid
 */
import type { RoomOfVersion } from '../../homeserver/rooms/remote-events.ts';
import { strippedJson } from '../../homeserver/rooms/stripped-state.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { isUserId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import { checkPdus } from '../checked-events.ts';
import type { KeyRing } from '../keys/key-ring.ts';

/** What a user needs to recognise a room is far less. */
const MAX_ENTRIES = 100;

export interface RoomIntroduction {
  /** JSON texts of stripped state events. */
  readonly stripped: readonly string[];
  /** What is wrong with the list, as room versions from 12 on would have it; the rest is usable. */
  readonly problem: string | undefined;
}

/** Reads such a list. Entries that are events must be signed by their senders and of this room. */
export const roomIntroduction = async (
  keyRing: KeyRing,
  room: RoomOfVersion,
  list: unknown,
): Promise<RoomIntroduction> => {
  if (!Array.isArray(list)) return { stripped: [], problem: 'There is no state of the room' };
  const entries: unknown[] = list.slice(0, MAX_ENTRIES);
  const checked = await checkPdus(keyRing, room, entries);
  const stripped: string[] = [];
  let problem: string | undefined;
  let hasCreate = false;
  for (const [index, { event, error }] of checked.entries()) {
    const isState = event?.stateKey !== undefined;
    if (isState) {
      hasCreate ||= event.type === 'm.room.create';
      stripped.push(strippedJson(event));
      continue;
    }
    problem ??= `Entry ${index} is no valid state event: ${error ?? 'it has no state key'}`;
    const old = strippedEntry(entries[index]);
    // Older servers send less than events; that much is all there is of them.
    if (old !== undefined) stripped.push(old);
  }
  if (!hasCreate) problem ??= 'The create event is missing';
  return { stripped, problem };
};

/** The list a client is given, the member event that is the reason of it last. */
export const strippedStateWith = (
  { stripped }: RoomIntroduction,
  memberEvent: MatrixEvent,
): string => `[${[...stripped, strippedJson(memberEvent)].join(',')}]`;

/** The servers of those whose events are in the list that a user was given. */
export const serversNamedIn = (strippedState: string | undefined): Set<ServerName> => {
  const events = JSON.parse(strippedState ?? '[]') as { sender: UserId }[];
  return new Set(events.map(({ sender }) => serverNameOf(sender)));
};

/** An entry in stripped form; one that is an event of any room version is not taken for one. */
const strippedEntry = (entry: unknown): string | undefined => {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { type, state_key, sender, content, signatures } = entry as JsonObject;
  if (signatures !== undefined) return undefined;
  const isStripped =
    typeof type === 'string' &&
    typeof state_key === 'string' &&
    typeof sender === 'string' &&
    isUserId(sender) &&
    typeof content === 'object' &&
    content !== null &&
    !Array.isArray(content);
  return isStripped ? JSON.stringify({ type, state_key, sender, content }) : undefined;
};
