/**
 * Asking a resident server for a member event to sign, and making of its answer exactly the event
 * our user wants: nothing the other server wrote is signed unless it is checked or harmless.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_joinroomiduserid
 */
import type { Clock } from '../../homeserver/clock.ts';
import type { Random } from '../../homeserver/random.ts';
import { hashAndSignPdu } from '../../spec/build-event.ts';
import { CanonicalJsonError } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, JsonValue, MatrixEvent, Pdu } from '../../spec/event.ts';
import { InvalidEventError, parsePdu } from '../../spec/event-format.ts';
import { isUserId, type RoomId, type ServerName, type UserId } from '../../spec/identifiers.ts';
import {
  IMPLICIT_ROOM_VERSION,
  KNOWN_ROOM_VERSIONS,
  type RoomVersionRules,
  rulesOf,
} from '../../spec/room-versions.ts';
import type { SigningKey } from '../../spec/signing.ts';
import type { FederationClient } from '../http-client.ts';
import { uri } from '../uri.ts';
import { BadAnswer, refusalForPerson } from './candidates.ts';

export interface TemplateDeps {
  readonly serverName: ServerName;
  readonly signingKey: () => SigningKey;
  readonly client: FederationClient;
  readonly clock: Clock;
  readonly random: Random;
}

export interface MemberWish {
  readonly userId: UserId;
  readonly roomId: RoomId;
  readonly membership: 'join' | 'leave' | 'knock';
  /** Of the member event. */
  readonly content: JsonObject;
  /** Where the room's version is known, the answer must agree. */
  readonly version?: string | undefined;
  /** What is left for the whole handshake. One request takes no longer than any other may. */
  readonly leftMs: number;
}

export interface SignedMember {
  readonly event: MatrixEvent;
  readonly rules: RoomVersionRules;
}

const MAX_TEMPLATE_BYTES = 256 * 1024;
const MAX_TEMPLATE_VALUES = 20_000;

/**
 * @throws BadAnswer
 * @throws FederationError
 * @throws MatrixError M_INCOMPATIBLE_ROOM_VERSION for a version that this server does not know, and
 * what the other server refuses with
 */
export const signedTemplate = async (
  deps: TemplateDeps,
  server: ServerName,
  wish: MemberWish,
): Promise<SignedMember> => {
  const { userId, roomId, membership } = wish;
  const asked = deps.client.request({
    destination: server,
    method: 'GET',
    path: `/_matrix/federation/v1/make_${membership}${uri`/${roomId}/${userId}`}`,
    query: membership === 'leave' ? {} : { ver: KNOWN_ROOM_VERSIONS },
    essential: true,
    timeoutMs: Math.min(wish.leftMs, deps.client.timeoutMs),
    purpose: 'person',
    requester: userId,
    maxBytes: MAX_TEMPLATE_BYTES,
    maxValues: MAX_TEMPLATE_VALUES,
  });
  const answer = await asked.catch((error: unknown) => {
    throw refusalForPerson(error);
  });
  const rules = rulesIn(answer['room_version'], wish);
  const template = answer['event'];
  if (!isObject(template)) throw new BadAnswer(`${server} gave no event to sign`);
  return { rules, event: signed(deps, server, wish, rules, template) };
};

const rulesIn = (version: JsonValue | undefined, wish: MemberWish): RoomVersionRules => {
  const named = version ?? wish.version ?? IMPLICIT_ROOM_VERSION;
  const rules = typeof named === 'string' ? rulesOf(named) : undefined;
  if (rules === undefined) {
    throw matrixError(
      'M_INCOMPATIBLE_ROOM_VERSION',
      `This server does not support room version ${String(named)}`,
      typeof named === 'string' ? { room_version: named } : {},
    );
  }
  if (wish.version !== undefined && rules.version !== wish.version) {
    throw new BadAnswer(`The room has version ${wish.version}, not ${rules.version}`);
  }
  return rules;
};

/** "The joining server MUST also verify that [these] fields have the expected values." */
const checkTemplate = (server: ServerName, wish: MemberWish, template: JsonObject): void => {
  const { type, room_id: roomId, sender, state_key: stateKey, content } = template;
  const isAsAsked =
    type === 'm.room.member' &&
    roomId === wish.roomId &&
    sender === wish.userId &&
    stateKey === wish.userId &&
    isObject(content) &&
    content['membership'] === wish.membership;
  if (!isAsAsked) throw new BadAnswer(`${server} gave another event to sign than was asked for`);
};

const signed = (
  { serverName, signingKey, clock, random }: TemplateDeps,
  server: ServerName,
  wish: MemberWish,
  rules: RoomVersionRules,
  template: JsonObject,
): MatrixEvent => {
  checkTemplate(server, wish, template);
  const { content: proposed, auth_events, prev_events, depth } = template;
  const content: JsonObject = { ...wish.content, membership: wish.membership };
  // The one thing in the content that only a resident server can know.
  const authoriser = (proposed as JsonObject)['join_authorised_via_users_server'];
  delete content['join_authorised_via_users_server'];
  if (wish.membership === 'join' && typeof authoriser === 'string' && isUserId(authoriser)) {
    content['join_authorised_via_users_server'] = authoriser;
  }
  const pdu: JsonObject = {
    type: 'm.room.member',
    room_id: wish.roomId,
    sender: wish.userId,
    state_key: wish.userId,
    content,
    auth_events,
    prev_events,
    depth,
    origin_server_ts: clock.nowMs(),
    ...(rules.eventIdFormat === 'domain' && {
      event_id: `$${random.bytes(18).toString('base64url')}:${serverName}`,
    }),
  };
  try {
    const whole = hashAndSignPdu(pdu as unknown as Partial<Pdu>, rules, serverName, signingKey());
    return parsePdu(whole, rules);
  } catch (error) {
    if (error instanceof InvalidEventError || error instanceof CanonicalJsonError) {
      throw new BadAnswer(`${server} gave an event that cannot be signed: ${error.message}`);
    }
    throw error;
  }
};

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
