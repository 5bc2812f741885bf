/**
 * Which events authorise an event, and whether those it lists are the right kind.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#auth-events-selection
 */
import { type JsonObject, type MatrixEvent, type StateKey, stateKeyOf } from '../event.ts';
import type { RoomVersionRules } from '../room-versions.ts';
import { EventRejected, numberingOf } from './event-rejected.ts';

const CREATE = stateKeyOf('m.room.create', '');
const POWER_LEVELS = stateKeyOf('m.room.power_levels', '');
const JOIN_RULES = stateKeyOf('m.room.join_rules', '');

/** What decides about an event's auth events: as much of it as there is before it is made. */
export type Authorised = Pick<MatrixEvent, 'type' | 'sender' | 'content'> & {
  readonly stateKey?: string | undefined;
};

/**
 * The keys of the room state whose events, where they exist, an event lists as its auth events.
 */
export const selectAuthKeys = (event: Authorised, rules: RoomVersionRules): StateKey[] => {
  if (event.type === 'm.room.create') return [];
  const keys: StateKey[] = [];
  // - Depending on the room version, the m.room.create event.
  if (!rules.roomIdIsCreateHash) keys.push(CREATE);
  // - The current m.room.power_levels event, if any.
  // - The sender's current m.room.member event, if any.
  keys.push(POWER_LEVELS, stateKeyOf('m.room.member', event.sender));
  // - If type is m.room.member:
  if (event.type === 'm.room.member') addMemberKeys(keys, event, rules);
  return keys;
};

const addMemberKeys = (
  keys: StateKey[],
  { stateKey, sender, content }: Authorised,
  rules: RoomVersionRules,
): void => {
  const membership = content['membership'];
  // - The target's current m.room.member event, if any.
  if (stateKey !== undefined && stateKey !== sender)
    keys.push(stateKeyOf('m.room.member', stateKey));
  // - If membership is join, invite or knock, the current m.room.join_rules event, if any.
  if (membership === 'join' || membership === 'invite' || membership === 'knock') {
    keys.push(JOIN_RULES);
  }
  // - If membership is invite and content contains a third_party_invite property, the current
  //   m.room.third_party_invite event with state_key matching
  //   content.third_party_invite.signed.token, if any.
  if (membership === 'invite') {
    const token = thirdPartyInviteTokenOf(content);
    if (token !== undefined) keys.push(stateKeyOf('m.room.third_party_invite', token));
  }
  // - If membership is join, content.join_authorised_via_users_server is present, and the room
  //   version supports restricted rooms, then the m.room.member event with state_key matching
  //   content.join_authorised_via_users_server.
  const authorisingUser = content['join_authorised_via_users_server'];
  if (membership === 'join' && rules.restrictedJoins && typeof authorisingUser === 'string') {
    const key = stateKeyOf('m.room.member', authorisingUser);
    if (!keys.includes(key)) keys.push(key);
  }
};

/** `content.third_party_invite.signed.token`, where all of that is there. */
const thirdPartyInviteTokenOf = (content: JsonObject): string | undefined => {
  const invite = content['third_party_invite'] as JsonObject | null | undefined;
  const signed = invite?.['signed'] as JsonObject | null | undefined;
  const token = signed?.['token'];
  return typeof token === 'string' ? token : undefined;
};

/** One of the events that an event lists as authorising it. */
export interface AuthEvent {
  readonly event: MatrixEvent;
  /** Whether the event was itself rejected when it was received. */
  readonly rejected: boolean;
}

/**
 * The rule on the list of auth events (number 2, or 3 from version 12 on). `authEvents` are all the
 * events that `event` lists; for one that cannot be found the caller decides.
 *
 * @throws EventRejected
 */
export const checkAuthEvents = (
  event: MatrixEvent,
  authEvents: readonly AuthEvent[],
  rules: RoomVersionRules,
): void => {
  // Rule 1 alone decides on create events.
  if (event.type === 'm.room.create') return;
  const rule = numberingOf(rules).rule.authEvents;
  const selected = new Set(selectAuthKeys(event, rules));
  const seen = new Set<StateKey>();
  for (const { event: authEvent } of authEvents) {
    const { type, stateKey } = authEvent;
    const key = stateKey === undefined ? undefined : stateKeyOf(type, stateKey);
    // 2.1. If there are duplicate entries for a given type and state_key pair, reject.
    if (key !== undefined && seen.has(key)) {
      throw new EventRejected(`${rule}.1`, `more than one auth event of type ${type}`);
    }
    // 2.2. If there are entries whose type and state_key don't match those specified by the auth
    //      events selection algorithm described in the server specification, reject.
    if (key === undefined || !selected.has(key)) {
      throw new EventRejected(`${rule}.2`, `${authEvent.eventId} does not authorise this event`);
    }
    seen.add(key);
  }
  for (const { event: authEvent, rejected } of authEvents) {
    // 2.3. If there are entries which were themselves rejected under the checks performed on
    //      receipt of a PDU, reject.
    if (rejected) {
      throw new EventRejected(`${rule}.3`, `auth event ${authEvent.eventId} was rejected`);
    }
  }
  // 2.4. If there is no m.room.create event among the entries, reject. (Not in version 12.)
  if (!rules.roomIdIsCreateHash && !seen.has(CREATE)) {
    throw new EventRejected(`${rule}.4`, 'no m.room.create event among the auth events');
  }
  for (const { event: authEvent } of authEvents) {
    // 2.5. If any event in auth_events has a room_id which does not match that of the event being
    //      authorised, reject. (Number 3.4 in version 12.)
    if (authEvent.roomId !== event.roomId) {
      throw new EventRejected(
        `${rule}.${rules.roomIdIsCreateHash ? 4 : 5}`,
        `auth event ${authEvent.eventId} is of another room`,
      );
    }
  }
};
