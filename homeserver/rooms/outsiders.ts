/**
 * Servers that are to hear of an event although nobody of theirs is in the room: their user's invite
 * or knock is no more.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites
 */
import type { MatrixEvent } from '../../spec/event.ts';
import { isUserId, type ServerName, serverNameOf } from '../../spec/identifiers.ts';
import type { LiveRoom } from './live-room.ts';
import { membershipOf } from './stored-event.ts';

/**
 * @param room after the event
 * @param membershipBefore of the user whose membership the event changes
 */
export const outsiderToTell = (
  room: Pick<LiveRoom, 'localServer' | 'hasJoinedServer'>,
  event: MatrixEvent,
  membershipBefore: string | undefined,
): ServerName | undefined => {
  if (membershipBefore !== 'invite' && membershipBefore !== 'knock') return undefined;
  const membership = membershipOf(event);
  if (membership !== 'leave' && membership !== 'ban') return undefined;
  const { stateKey, sender } = event;
  if (stateKey === undefined || !isUserId(stateKey)) return undefined;
  const server = serverNameOf(stateKey);
  // What a server's own user did, it knows.
  if (server === room.localServer || server === serverNameOf(sender)) return undefined;
  return room.hasJoinedServer(server) ? undefined : server;
};
