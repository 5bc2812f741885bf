/**
 * Whether an event is authorised by a state of its room, in every room version.
 *
 * Each rule of the specification stands as a comment above the lines that enforce it, with the
 * number it has in version 12 (https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules). A
 * failure carries the number that the rule has in the event's own room version.
 */
import type { JsonValue, MatrixEvent } from '../event.ts';
import { createEventIdOf, domainOf, type EventId, isUserId, serverNameOf } from '../identifiers.ts';
import { redactsOf } from '../redaction.ts';
import { type RoomVersionRules, rulesOf } from '../room-versions.ts';
import { AuthContext, type AuthInput } from './auth-context.ts';
import { EventRejected } from './event-rejected.ts';
import { authoriseMember } from './member.ts';
import { authorisePowerLevels } from './power-levels.ts';

/**
 * Returns if the event is allowed. The list of auth events is checked apart, by `checkAuthEvents`.
 *
 * @throws EventRejected
 */
export const authoriseEvent = (
  event: MatrixEvent,
  rules: RoomVersionRules,
  input: AuthInput,
): void => {
  const context = new AuthContext(event, rules, input);
  const { rule } = context.numbering;
  // 1. If type is m.room.create:
  if (event.type === 'm.room.create') {
    authoriseCreate(context);
    return;
  }
  const createEvent = checkCreateEvent(context);
  // 4. If the content of the m.room.create event in the room state has the property m.federate set
  //    to false, and the sender domain of the event does not match the sender domain of the create
  //    event, reject.
  if (
    createEvent.content['m.federate'] === false &&
    serverNameOf(event.sender) !== serverNameOf(createEvent.sender)
  ) {
    throw new EventRejected(`${rule.federate}`, 'the room is not federated');
  }
  // (Versions 1 to 5) 4. If type is m.room.aliases:
  if (rules.specialCaseAliases && event.type === 'm.room.aliases') {
    authoriseAliases(context);
    return;
  }
  // 5. If type is m.room.member:
  if (event.type === 'm.room.member') {
    authoriseMember(context);
    return;
  }
  // 6. If the sender's current membership state is not join, reject.
  if (context.membershipOf(event.sender) !== 'join') {
    throw new EventRejected(`${rule.senderJoined}`, 'not joined to the room');
  }
  // 7. If type is m.room.third_party_invite:
  //    7.1. Allow if and only if sender's current power level is greater than or equal to the
  //         invite level.
  if (event.type === 'm.room.third_party_invite') {
    if (context.powerLevels.canInvite(event.sender)) return;
    throw new EventRejected(`${rule.thirdPartyInvite}.1`, 'not enough power to invite');
  }
  // 8. If the event type's required power level is greater than the sender's power level, reject.
  if (!context.powerLevels.canSend(event.sender, event.type, event.stateKey !== undefined)) {
    throw new EventRejected(`${rule.requiredLevel}`, `not enough power to send ${event.type}`);
  }
  // 9. If the event has a state_key that starts with an @ and does not match the sender, reject.
  if (event.stateKey?.startsWith('@') && event.stateKey !== event.sender) {
    throw new EventRejected(`${rule.stateKeyOfUser}`, 'the state key names another user');
  }
  // 10. If type is m.room.power_levels:
  if (event.type === 'm.room.power_levels') {
    authorisePowerLevels(context);
    return;
  }
  // (Versions 1 and 2) 11. If type is m.room.redaction:
  if (rules.authoriseRedactions && event.type === 'm.room.redaction') {
    authoriseRedaction(context);
  }
  // 11. Otherwise, allow.
};

/** Whether {@link authoriseEvent} would return; what is wrong, if not. */
export const rejectionOf = (
  event: MatrixEvent,
  rules: RoomVersionRules,
  input: AuthInput,
): EventRejected | undefined => {
  try {
    authoriseEvent(event, rules, input);
    return undefined;
  } catch (error) {
    if (error instanceof EventRejected) return error;
    throw error;
  }
};

const authoriseCreate = ({ event, rules, numbering }: AuthContext): void => {
  const rule = numbering.rule.create;
  // 1.1. If it has any prev_events, reject.
  if (event.prevEventIds.length > 0) {
    throw new EventRejected(`${rule}.1`, 'a create event follows no other event');
  }
  if (rules.roomIdIsCreateHash) {
    // 1.2. If the event has a room_id, reject.
    if (event.pdu.room_id !== undefined) {
      throw new EventRejected(`${rule}.2`, 'a create event has no room id of its own');
    }
  } else if (domainOf(event.roomId) !== serverNameOf(event.sender)) {
    // (Versions 1 to 11) 1.2. If the domain of the room_id does not match the domain of the sender,
    //     reject.
    throw new EventRejected(`${rule}.2`, 'the room id is not of the domain of the sender');
  }
  // 1.3. If content.room_version is present and is not a recognised version, reject.
  const version = event.content['room_version'];
  if (version !== undefined && (typeof version !== 'string' || rulesOf(version) === undefined)) {
    throw new EventRejected(`${rule}.3`, 'unknown room version');
  }
  // (Versions 1 to 10) 1.4. If content has no creator property, reject.
  if (rules.creatorInContent && event.content['creator'] === undefined) {
    throw new EventRejected(`${rule}.4`, 'no creator');
  }
  // 1.4. If additional_creators is present in content and is not an array of strings where each
  //      string passes the same user ID validation applied to sender, reject.
  if (rules.additionalCreators && !isListOfUserIds(event.content['additional_creators'])) {
    throw new EventRejected(`${rule}.4`, 'additional_creators is not a list of user ids');
  }
  // 1.5. Otherwise, allow.
};

const isListOfUserIds = (value: JsonValue | undefined): boolean =>
  value === undefined ||
  (Array.isArray(value) && value.every((user) => typeof user === 'string' && isUserId(user)));

/** The create event, which every other event needs. */
const checkCreateEvent = ({ event, rules, numbering, createEvent }: AuthContext): MatrixEvent => {
  if (rules.roomIdIsCreateHash) {
    // 2. If the event's room_id is not an event ID for an accepted (not rejected) m.room.create
    //    event, with the sigil ! instead of $, reject.
    if (createEvent === undefined || createEvent.eventId !== createEventIdOf(event.roomId)) {
      throw new EventRejected(`${numbering.rule.roomId}`, 'the room id is of no create event');
    }
    return createEvent;
  }
  // (Versions 1 to 11) 2.4. If there is no m.room.create event among the entries, reject.
  if (createEvent === undefined) {
    throw new EventRejected(`${numbering.rule.authEvents}.4`, 'the room has no create event');
  }
  // (Versions 1 to 11) 2.5. If any event in auth_events has a room_id which does not match that of
  //     the event being authorised, reject.
  if (createEvent.roomId !== event.roomId) {
    throw new EventRejected(
      `${numbering.rule.authEvents}.5`,
      'the create event is of another room',
    );
  }
  return createEvent;
};

const authoriseAliases = ({ event, numbering }: AuthContext): void => {
  const rule = numbering.rule.aliases;
  // 4.1. If event has no state_key, reject.
  if (event.stateKey === undefined) throw new EventRejected(`${rule}.1`, 'no state_key');
  // 4.2. If sender's domain doesn't match state_key, reject.
  if (event.stateKey !== serverNameOf(event.sender)) {
    throw new EventRejected(`${rule}.2`, 'the aliases are of another server');
  }
  // 4.3. Otherwise, allow.
};

const authoriseRedaction = (context: AuthContext): void => {
  const { event, numbering, rules } = context;
  // 11.1. If the sender's power level is greater than or equal to the redact level, allow.
  if (context.powerLevels.canRedact(event.sender)) return;
  // 11.2. If the domain of the event_id of the event being redacted is the same as the domain of
  //       the event_id of the m.room.redaction, allow.
  const redacts: EventId | undefined = redactsOf(event, rules);
  const domain = redacts === undefined ? undefined : domainOf(redacts);
  if (domain !== undefined && domain === domainOf(event.eventId)) return;
  // 11.3. Otherwise, reject.
  throw new EventRejected(`${numbering.rule.redaction}.3`, 'not enough power to redact');
};
