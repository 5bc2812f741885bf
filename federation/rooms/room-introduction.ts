/**
 * The state that comes along with an invite or a knock, by which a user sees what room it is about.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid
 * (`invite_room_state`) and
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid
 */
import type { RoomOfVersion } from '../../homeserver/rooms/remote-events.ts';
import {
  datedJson,
  importanceOf,
  strippedJson,
  strippedList,
} from '../../homeserver/rooms/stripped-state.ts';
import { type MatrixError, matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { isUserId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import { checkPdus } from '../checked-events.ts';
import type { KeyRing } from '../keys/key-ring.ts';

/** What a user needs to recognise a room is far less. */
const MAX_ENTRIES = 100;
const MAX_LIST_BYTES = 256 * 1024;

export interface RoomIntroduction {
  /** JSON texts of stripped state events, those first that tell most of the room. */
  readonly stripped: readonly string[];
  /** What is wrong with the list, as room versions from 12 on would have it; the rest is usable. */
  readonly problem: MatrixError | undefined;
}

const invalid = (message: string): MatrixError => matrixError('M_INVALID_PARAM', message);
const missing = (message: string): MatrixError => matrixError('M_MISSING_PARAM', message);

/**
 * Reads such a list. Entries that are events must be signed by their senders and of this room.
 * @throws MatrixError M_TOO_LARGE
 */
export const roomIntroduction = async (
  keyRing: KeyRing,
  room: RoomOfVersion,
  list: unknown,
): Promise<RoomIntroduction> => {
  if (!Array.isArray(list)) {
    return { stripped: [], problem: missing('There is no state of the room') };
  }
  if (list.length > MAX_ENTRIES || Buffer.byteLength(JSON.stringify(list)) > MAX_LIST_BYTES) {
    throw matrixError('M_TOO_LARGE', 'The state that introduces the room is too large');
  }
  const entries: unknown[] = list;
  const checked = await checkPdus(keyRing, room, entries);
  const stripped: { readonly type: string; readonly text: string }[] = [];
  let problem: MatrixError | undefined;
  let hasCreate = false;
  for (const [index, { event, error }] of checked.entries()) {
    const isState = event?.stateKey !== undefined;
    if (isState) {
      hasCreate ||= event.type === 'm.room.create';
      stripped.push({ type: event.type, text: strippedJson(event) });
      continue;
    }
    problem ??= invalid(
      `Entry ${index} is no valid state event: ${error ?? 'it has no state key'}`,
    );
    const old = strippedEntry(entries[index]);
    // Older servers send less than events; that much is all there is of them.
    if (old !== undefined) stripped.push(old);
  }
  if (!hasCreate) problem ??= missing('The create event is missing');
  stripped.sort((a, b) => importanceOf(a.type) - importanceOf(b.type));
  return { stripped: stripped.map(({ text }) => text), problem };
};

/** The list a client is given, the member event that is the reason of it last. */
export const strippedStateWith = (
  { stripped }: RoomIntroduction,
  memberEvent: MatrixEvent,
): string => strippedList(stripped, datedJson(memberEvent));

/** The servers of those whose events are in the list that a user was given. */
export const serversNamedIn = (strippedState: string | undefined): Set<ServerName> => {
  const events = JSON.parse(strippedState ?? '[]') as { sender: UserId }[];
  return new Set(events.map(({ sender }) => serverNameOf(sender)));
};

/** An entry in stripped form; one that is an event of any room version is not taken for one. */
const strippedEntry = (entry: unknown): { type: string; text: string } | undefined => {
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
  return isStripped
    ? { type, text: JSON.stringify({ type, state_key, sender, content }) }
    : undefined;
};
