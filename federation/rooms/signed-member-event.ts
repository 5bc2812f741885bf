/**
 * A member event that another server asks us to put our signature to: checked first to be exactly
 * what the request claims, so that nobody can have anything else signed.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_joinroomideventid
 * and its like for leaving, knocking and inviting.
 */
import type { RoomOfVersion } from '../../homeserver/rooms/remote-events.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent, Pdu } from '../../spec/event.ts';
import { checkContentHash, InvalidEventError, parsePdu } from '../../spec/event-format.ts';
import { isUserId, type ServerName, serverNameOf } from '../../spec/identifiers.ts';
import { type SigningKey, signEvent, signingKeyIdsOf } from '../../spec/signing.ts';
import { checkPdus } from '../checked-events.ts';
import type { KeyRing } from '../keys/key-ring.ts';

export type HandshakeMembership = 'join' | 'leave' | 'knock';

export interface ExpectedMemberEvent {
  readonly room: RoomOfVersion;
  /** As named in the request. */
  readonly eventId: string;
  readonly membership: HandshakeMembership | 'invite';
  readonly senderServer: ServerName;
  /** The server of the user whose membership it is. */
  readonly subjectServer: ServerName;
}

export interface CounterSigner {
  readonly serverName: ServerName;
  readonly signingKey: () => SigningKey;
  readonly keyRing: KeyRing;
}

const invalid = (message: string) => matrixError('M_INVALID_PARAM', message);
/** The code that the specification asks for, with the status by which servers have always said it. */
const unconvincing = (message: string) =>
  matrixError('M_INVALID_PARAM', message, {}, { status: 403 });

/**
 * The event with our signature added.
 * @throws MatrixError M_BAD_JSON for what is no event; M_INVALID_PARAM for another than was asked
 * for, and with status 403 for an event of another server, or one that its server did not sign
 */
export const signedMemberEvent = async (
  { serverName, signingKey, keyRing }: CounterSigner,
  pdu: JsonObject,
  expected: ExpectedMemberEvent,
): Promise<MatrixEvent> => {
  const { room } = expected;
  if (!isSignedBy(expected.senderServer, pdu))
    throw unconvincing('Your server did not sign the event');
  const event = wellFormed(pdu, room);
  checkClaims(event, expected);
  if (!checkContentHash(event, room.rules)) throw invalid('The content hash is wrong');
  const signed = signEvent(event.pdu as Pdu, room.rules, serverName, signingKey());
  const [checked] = await checkPdus(keyRing, room, [signed]);
  if (checked?.event === undefined) {
    throw unconvincing(checked?.error ?? 'The event is not signed');
  }
  return checked.event;
};

/** Whether it has what signing adds: a hash and a signature, which are checked later. */
const isSignedBy = (server: ServerName, pdu: JsonObject): boolean =>
  pdu['hashes'] !== undefined && signingKeyIdsOf(pdu, server).length > 0;

const wellFormed = (pdu: JsonObject, { rules }: RoomOfVersion): MatrixEvent => {
  try {
    return parsePdu(pdu, rules);
  } catch (error) {
    if (error instanceof InvalidEventError) {
      throw matrixError('M_BAD_JSON', `Not a valid event: ${error.message}`);
    }
    throw error;
  }
};

const checkClaims = (event: MatrixEvent, expected: ExpectedMemberEvent): void => {
  const { room, membership } = expected;
  if (event.eventId !== expected.eventId) throw invalid('The event has another id');
  if (event.roomId !== room.id) throw invalid('The event is of another room');
  if (event.type !== 'm.room.member') throw invalid('The event is not a member event');
  if (event.content['membership'] !== membership) throw invalid(`Not a ${membership} event`);
  if (serverNameOf(event.sender) !== expected.senderServer) {
    throw unconvincing('The sender is not of your server');
  }
  const { stateKey } = event;
  if (stateKey === undefined || !isUserId(stateKey)) {
    throw invalid('The state key is not a user id');
  }
  if (membership !== 'invite' && stateKey !== event.sender) {
    throw invalid('The state key is not the sender');
  }
  if (serverNameOf(stateKey) !== expected.subjectServer) {
    throw invalid('The state key is not a user of the right server');
  }
};
