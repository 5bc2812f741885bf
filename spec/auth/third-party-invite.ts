/**
 * Authorisation of invites that answer an `m.room.third_party_invite`.
 *
 * Rule 5.4.1 of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
import type { JsonObject, JsonValue } from '../event.ts';
import { signatureOf, signingKeyIdsOf, verifySignedJson } from '../signing.ts';
import { EventRejected } from './event-rejected.ts';
import type { MemberCheck } from './member.ts';

/** Real invites need one. An event can hold enough keys and signatures to keep us busy for minutes. */
const MAX_SIGNATURE_CHECKS = 64;

/** @throws EventRejected */
export const authoriseThirdPartyInvitee = ({
  context,
  sender,
  target,
  rule,
}: MemberCheck): void => {
  // 5.4.1.1. If target user is banned, reject.
  if (context.membershipOf(target) === 'ban') {
    throw new EventRejected(`${rule}.1.1`, 'the invited user is banned');
  }
  // 5.4.1.2. If content.third_party_invite does not have a signed property, reject.
  const invite = context.event.content['third_party_invite'];
  const signed = isObject(invite) ? invite['signed'] : undefined;
  if (!isObject(signed)) throw new EventRejected(`${rule}.1.2`, 'the invite is not signed');
  // 5.4.1.3. If signed does not have mxid and token properties, reject.
  const { mxid, token } = signed;
  if (typeof mxid !== 'string' || typeof token !== 'string') {
    throw new EventRejected(`${rule}.1.3`, 'the invite has no mxid or token');
  }
  // 5.4.1.4. If mxid does not match state_key, reject.
  if (mxid !== target) throw new EventRejected(`${rule}.1.4`, 'the invite is for another user');
  // 5.4.1.5. If there is no m.room.third_party_invite event in the current room state with
  //          state_key matching token, reject.
  const pending = context.state('m.room.third_party_invite', token);
  if (pending === undefined) throw new EventRejected(`${rule}.1.5`, 'no such third-party invite');
  // 5.4.1.6. If sender does not match sender of the m.room.third_party_invite, reject.
  if (sender !== pending.sender) {
    throw new EventRejected(`${rule}.1.6`, 'the third-party invite was sent by another user');
  }
  // 5.4.1.7. If any signature in signed matches any public key in the m.room.third_party_invite
  //          event, allow.
  if (isSignedByAny(signed, publicKeysOf(pending.content))) return;
  // 5.4.1.8. Otherwise, reject.
  throw new EventRejected(
    `${rule}.1.8`,
    'the invite is not signed by a key of the identity server',
  );
};

/** 1. A single public key in `public_key`. 2. A list of public keys in `public_keys`. */
const publicKeysOf = (content: JsonObject): string[] => {
  const listed = Array.isArray(content['public_keys']) ? content['public_keys'] : [];
  return [
    content['public_key'],
    ...listed.map((entry) => (isObject(entry) ? entry['public_key'] : undefined)),
  ].filter((key) => typeof key === 'string');
};

const isSignedByAny = (signed: JsonObject, publicKeys: readonly string[]): boolean => {
  const { signatures } = signed;
  if (!isObject(signatures)) return false;
  let checksLeft = MAX_SIGNATURE_CHECKS;
  for (const entity of Object.keys(signatures)) {
    for (const keyId of signingKeyIdsOf(signed, entity)) {
      if (signatureOf(signed, entity, keyId) === undefined) continue;
      for (const publicKey of publicKeys) {
        if (checksLeft-- === 0) return false;
        if (verifySignedJson(signed, entity, keyId, publicKey)) return true;
      }
    }
  }
  return false;
};

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
