/**
 * Inviting someone of another server: their server must sign the invite before anyone sees it.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */

import type { Clock } from '../../homeserver/clock.ts';
import type { EventStore } from '../../homeserver/rooms/event-store.ts';
import type { LiveRoom } from '../../homeserver/rooms/live-room.ts';
import type { SignedInvite } from '../../homeserver/rooms/remote-rooms.ts';
import { introducingEvents } from '../../homeserver/rooms/stripped-state.ts';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, JsonValue, MatrixEvent, Pdu } from '../../spec/event.ts';
import { type RoomId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import { redactPdu } from '../../spec/redaction.ts';
import { signatureOf, signingKeyIdsOf, withSignature } from '../../spec/signing.ts';
import type { FederationClient } from '../http-client.ts';
import { type KeyRing, MAX_SIGNATURES } from '../keys/key-ring.ts';
import { SignatureFailure } from '../keys/signature-failure.ts';
import { uri } from '../uri.ts';
import { BadAnswer, errorForPerson } from './candidates.ts';
import { isUnknownPath } from './older-servers.ts';

export interface OutboundInviteDeps {
  readonly client: FederationClient;
  readonly keyRing: KeyRing;
  readonly events: EventStore;
  readonly clock: Clock;
}

const TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_ANSWER_VALUES = 20_000;

export class OutboundInvite {
  readonly #deps: OutboundInviteDeps;

  constructor(deps: OutboundInviteDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError M_FORBIDDEN, M_INVITE_BLOCKED, M_UNSUPPORTED_ROOM_VERSION, M_UNKNOWN */
  async invite(room: LiveRoom, { event, json }: SignedInvite): Promise<SignedInvite> {
    const server = serverNameOf(event.stateKey as UserId);
    try {
      const shown = await introducingEvents(this.#deps.events, room.nid, room.state, event.sender);
      const roomState = shown.map(({ pdu }) => pdu as unknown as JsonObject);
      const pdu = JSON.parse(json) as JsonObject;
      const answered = await this.#ask(server, room, event, pdu, roomState);
      return await this.#withTheirSignature(server, room, event, answered);
    } catch (error) {
      throw invitersError(error);
    }
  }

  /** @throws MatrixError */
  async exchangeThirdPartyInvite(
    roomId: RoomId,
    sender: UserId,
    content: JsonObject,
  ): Promise<void> {
    const invite = content['third_party_invite'] as JsonObject | undefined;
    const signed = invite?.['signed'] as JsonObject | undefined;
    try {
      await this.#deps.client.request({
        destination: serverNameOf(sender),
        method: 'PUT',
        path: uri`/_matrix/federation/v1/exchange_third_party_invite/${roomId}`,
        body: {
          type: 'm.room.member',
          room_id: roomId,
          sender,
          state_key: signed?.['mxid'],
          content: { ...content, membership: 'invite' },
        },
        essential: true,
        purpose: 'person',
        requester: (signed?.['mxid'] ?? sender) as UserId,
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_ANSWER_BYTES,
        maxValues: MAX_ANSWER_VALUES,
      });
    } catch (error) {
      throw errorForPerson(error);
    }
  }

  async #ask(
    server: ServerName,
    { id, rules }: LiveRoom,
    { eventId, sender }: MatrixEvent,
    pdu: JsonObject,
    roomState: JsonObject[],
  ): Promise<JsonValue | undefined> {
    const common = {
      destination: server,
      method: 'PUT' as const,
      essential: true,
      purpose: 'person' as const,
      requester: sender,
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_ANSWER_BYTES,
      maxValues: MAX_ANSWER_VALUES,
    };
    try {
      const answer = await this.#deps.client.request({
        ...common,
        path: uri`/_matrix/federation/v2/invite/${id}/${eventId}`,
        canonicalBody: lenientCanonicalJson({
          room_version: rules.version,
          event: pdu,
          // Events of old room versions may hold any number.
          invite_room_state: roomState,
        }),
      });
      return answer['event'];
    } catch (error) {
      // "Senders which receive a 400 or 404 response to this endpoint should retry using the v1 API
      // as the server may be older, if the room version is 1 or 2."
      if (!isUnknownPath(error) || rules.eventIdFormat !== 'domain') throw error;
    }
    const answer = await this.#deps.client.requestFirstVersion({
      ...common,
      path: uri`/_matrix/federation/v1/invite/${id}/${eventId}`,
      canonicalBody: lenientCanonicalJson({
        ...pdu,
        unsigned: { invite_room_state: roomState },
      }),
    });
    return answer['event'];
  }

  /** Our event with the signature of the invited user's server, whatever else it answered. */
  async #withTheirSignature(
    server: ServerName,
    { rules }: LiveRoom,
    event: MatrixEvent,
    answered: JsonValue | undefined,
  ): Promise<SignedInvite> {
    if (typeof answered !== 'object' || answered === null || Array.isArray(answered)) {
      throw new BadAnswer(`${server} answered no event`);
    }
    let { signatures } = event.pdu;
    for (const keyId of signingKeyIdsOf(answered, server).slice(0, MAX_SIGNATURES)) {
      const signature = signatureOf(answered, server, keyId);
      if (signature !== undefined) signatures = withSignature(signatures, server, keyId, signature);
    }
    const pdu: Pdu = { ...event.pdu, signatures };
    const signedPart = redactPdu(pdu, rules) as unknown as JsonObject;
    try {
      await this.#deps.keyRing.verifyJson(server, signedPart, this.#deps.clock.nowMs());
    } catch (error) {
      if (!(error instanceof SignatureFailure)) throw error;
      throw new BadAnswer(`${server} did not sign the invite: ${error.message}`);
    }
    return { event: { ...event, pdu }, json: JSON.stringify(pdu) };
  }
}

const invitersError = (error: unknown): Error => {
  const known = errorForPerson(error);
  // https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite
  return known.errcode === 'M_INCOMPATIBLE_ROOM_VERSION'
    ? matrixError('M_UNSUPPORTED_ROOM_VERSION', known.message)
    : known;
};
