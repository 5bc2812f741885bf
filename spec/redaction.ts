/**
 * The redaction algorithm: an event reduced to what the protocol needs.
 *
 * Specification: the "Redactions" section of each room version, such as
 * https://spec.matrix.org/v1.19/rooms/v12/#redactions
 */

import type { JsonObject, JsonValue, MatrixEvent, Pdu } from './event.ts';
import { plainNumbers } from './exact-numbers.ts';
import { type EventId, isEventId } from './identifiers.ts';
import type { RedactionRules, RoomVersionRules } from './room-versions.ts';

/**
 * A redacted copy of an event in wire format. `unsigned` does not survive. Properties that the
 * event lacks are not added, so partial events (such as those of the test vectors) may be passed.
 */
export const redactPdu = <P extends Partial<Pdu>>(pdu: P, rules: RoomVersionRules): P => {
  // biome-ignore lint/plugin: the keys are those of a room version.
  const redacted: JsonObject = {};
  for (const key of rules.redaction.keepTopLevel) {
    if (Object.hasOwn(pdu, key)) redacted[key] = (pdu as JsonObject)[key];
  }
  if (pdu.content !== undefined) {
    redacted['content'] = redactContent(String(pdu.type), pdu.content, rules.redaction);
  }
  return redacted as P;
};

/** The content that a redacted event of this type keeps; always a fresh object. */
export const redactContent = (
  type: string,
  content: JsonObject,
  rules: RedactionRules,
): JsonObject => {
  // Event types come from others: one named like a property of Object must find nothing.
  const keep = Object.hasOwn(rules.keepContent, type) ? rules.keepContent[type] : undefined;
  if (keep === 'all') return { ...content };
  // biome-ignore lint/plugin: the keys are those of a room version.
  const redacted: JsonObject = {};
  for (const key of keep ?? []) {
    if (Object.hasOwn(content, key)) redacted[key] = content[key];
  }
  if (type === 'm.room.member' && rules.keepThirdPartyInviteSigned) {
    const invite = content['third_party_invite'];
    if (isObject(invite)) {
      redacted['third_party_invite'] = Object.hasOwn(invite, 'signed')
        ? { signed: invite['signed'] }
        : {};
    }
  }
  return redacted;
};

/** The redacted form of an event: the same id, and every derived field from the reduced PDU. */
export const redactEvent = (event: MatrixEvent, rules: RoomVersionRules): MatrixEvent => {
  const pdu = redactPdu(event.pdu, rules);
  return { ...event, content: plainNumbers(pdu.content), pdu };
};

/** The event that a redaction asks to redact, wherever its room version writes it. */
export const redactsOf = (
  redaction: Pick<MatrixEvent, 'type' | 'content' | 'pdu'>,
  rules: RoomVersionRules,
): EventId | undefined => {
  if (redaction.type !== 'm.room.redaction') return undefined;
  const redacts = rules.redaction.redactsInContent
    ? redaction.content['redacts']
    : redaction.pdu.redacts;
  return typeof redacts === 'string' && isEventId(redacts) ? redacts : undefined;
};

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
