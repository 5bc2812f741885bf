/**
 * Authorisation of `m.room.member`: who may join, invite, leave, kick, ban and knock.
 *
 * Numbers in comments are those of https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules;
 * what an older version lacks or does otherwise is asked of its rules.
 */
import { isUserId, serverNameOf } from '../identifiers.ts';
import { authorisingUserOf } from '../signing.ts';
import type { AuthContext } from './auth-context.ts';
import { EventRejected, type MemberRuleNumbers } from './event-rejected.ts';
import { authoriseThirdPartyInvitee } from './third-party-invite.ts';

/** A membership event whose form rule 5.1 has checked. */
export interface MemberCheck {
  readonly context: AuthContext;
  readonly sender: string;
  /** The user given by the `state_key`. */
  readonly target: string;
  /** The number of the rule that this check enforces, with the sub-rules' numbers to follow. */
  readonly rule: string;
}

/** @throws EventRejected */
export const authoriseMember = (context: AuthContext): void => {
  const { event, numbering } = context;
  const numberOf = (name: keyof MemberRuleNumbers): string =>
    `${numbering.rule.member}.${numbering.member[name]}`;
  // 5.1. If there is no state_key property, or no membership property in content, reject.
  const target = event.stateKey;
  const membership = event.content['membership'];
  if (target === undefined) throw new EventRejected(numberOf('wellFormed'), 'no state_key');
  if (membership === undefined) throw new EventRejected(numberOf('wellFormed'), 'no membership');
  // 5.2. If content has a join_authorised_via_users_server key:
  //   5.2.1. If the event is not validly signed by the homeserver of the user ID denoted by the
  //          key, reject.
  const authorisingUser = authorisingUserOf(event, context.rules);
  if (authorisingUser !== undefined && !isSignedByServerOf(authorisingUser, context)) {
    throw new EventRejected(
      `${numberOf('authorisedViaServer')}.1`,
      'not signed by the server of join_authorised_via_users_server',
    );
  }
  const check = (name: keyof MemberRuleNumbers): MemberCheck => ({
    context,
    sender: event.sender,
    target,
    rule: numberOf(name),
  });
  switch (membership) {
    // 5.3. If membership is join:
    case 'join':
      authoriseJoin(check('join'), authorisingUser);
      return;
    // 5.4. If membership is invite:
    case 'invite':
      authoriseInvite(check('invite'));
      return;
    // 5.5. If membership is leave:
    case 'leave':
      authoriseLeave(check('leave'));
      return;
    // 5.6. If membership is ban:
    case 'ban':
      authoriseBan(check('ban'));
      return;
    // 5.7. If membership is knock:
    case 'knock':
      if (!context.rules.knocking) break;
      authoriseKnock(check('knock'));
      return;
    default:
  }
  // 5.8. Otherwise, the membership is unknown. Reject.
  throw new EventRejected(numberOf('unknown'), 'unknown membership');
};

const isSignedByServerOf = (user: string, context: AuthContext): boolean =>
  isUserId(user) && context.isSignedBy(serverNameOf(user));

const authoriseJoin = (
  { context, sender, target, rule }: MemberCheck,
  authorisingUser: string | undefined,
): void => {
  const { event, rules, createEvent } = context;
  // 5.3.1. If the only previous event is an m.room.create and the state_key is the sender of the
  //        m.room.create, allow. (Before version 11: is the creator.)
  if (event.prevEventIds.length === 1 && event.prevEventIds[0] === createEvent?.eventId) {
    const creator = rules.creatorInContent ? createEvent?.content['creator'] : createEvent?.sender;
    if (target === creator) return;
  }
  // 5.3.2. If the sender does not match state_key, reject.
  if (sender !== target) throw new EventRejected(`${rule}.2`, 'cannot join for somebody else');
  // 5.3.3. If the sender is banned, reject.
  const membership = context.membershipOf(sender);
  if (membership === 'ban') throw new EventRejected(`${rule}.3`, 'banned from the room');
  const { joinRule } = context;
  const invitedOrJoined = membership === 'invite' || membership === 'join';
  // 5.3.4. If the join_rule is invite or knock then allow if membership state is invite or join.
  if (joinRule === 'invite' || (joinRule === 'knock' && rules.knocking)) {
    if (invitedOrJoined) return;
    // Falls to "otherwise".
  }
  // 5.3.5. If the join_rule is restricted or knock_restricted:
  if (
    (joinRule === 'restricted' && rules.restrictedJoins) ||
    (joinRule === 'knock_restricted' && rules.knockRestricted)
  ) {
    // 5.3.5.1. If membership state is join or invite, allow.
    if (invitedOrJoined) return;
    // 5.3.5.2. If the join_authorised_via_users_server key in content is not a user with sufficient
    //          permission to invite other users or is not a joined member of the room, reject.
    if (
      authorisingUser === undefined ||
      context.membershipOf(authorisingUser) !== 'join' ||
      !context.powerLevels.canInvite(authorisingUser)
    ) {
      throw new EventRejected(
        `${rule}.5.2`,
        'the join is not authorised by a member who may invite',
      );
    }
    // 5.3.5.3. Otherwise, allow.
    return;
  }
  // 5.3.6. If the join_rule is public, allow.
  if (joinRule === 'public') return;
  // 5.3.7. Otherwise, reject.
  throw new EventRejected(
    `${rule}.${rules.restrictedJoins ? 7 : 6}`,
    'not invited to a room that is not public',
  );
};

const authoriseInvite = (check: MemberCheck): void => {
  const { context, sender, target, rule } = check;
  // 5.4.1. If content has a third_party_invite property:
  if (context.event.content['third_party_invite'] !== undefined) {
    authoriseThirdPartyInvitee(check);
    return;
  }
  // 5.4.2. If the sender's current membership state is not join, reject.
  if (context.membershipOf(sender) !== 'join') {
    throw new EventRejected(`${rule}.2`, 'not joined to the room');
  }
  // 5.4.3. If target user's current membership state is join or ban, reject.
  const targetMembership = context.membershipOf(target);
  if (targetMembership === 'join' || targetMembership === 'ban') {
    throw new EventRejected(`${rule}.3`, `cannot invite: their membership is ${targetMembership}`);
  }
  // 5.4.4. If the sender's power level is greater than or equal to the invite level, allow.
  if (context.powerLevels.canInvite(sender)) return;
  // 5.4.5. Otherwise, reject.
  throw new EventRejected(`${rule}.5`, 'not enough power to invite');
};

const authoriseLeave = ({ context, sender, target, rule }: MemberCheck): void => {
  // 5.5.1. If the sender matches state_key, allow if and only if that user's current membership
  //        state is invite, join, or knock. (knock: where the room version has it.)
  if (sender === target) {
    const membership = context.membershipOf(sender);
    if (membership === 'invite' || membership === 'join') return;
    if (membership === 'knock' && context.rules.knocking) return;
    throw new EventRejected(`${rule}.1`, 'neither joined, nor invited, nor knocking');
  }
  // 5.5.2. If the sender's current membership state is not join, reject.
  if (context.membershipOf(sender) !== 'join') {
    throw new EventRejected(`${rule}.2`, 'not joined to the room');
  }
  // 5.5.3. If the target user's current membership state is ban, and the sender's power level is
  //        less than the ban level, reject.
  if (
    context.membershipOf(target) === 'ban' &&
    context.levelOf(sender) < context.powerLevels.level('ban')
  ) {
    throw new EventRejected(`${rule}.3`, 'not enough power to lift a ban');
  }
  // 5.5.4. If the sender's power level is greater than or equal to the kick level, and the target
  //        user's power level is less than the sender's power level, allow.
  if (context.powerLevels.canKick(sender, target)) return;
  // 5.5.5. Otherwise, reject.
  throw new EventRejected(`${rule}.5`, 'not enough power to remove this user');
};

const authoriseBan = ({ context, sender, target, rule }: MemberCheck): void => {
  // 5.6.1. If the sender's current membership state is not join, reject.
  if (context.membershipOf(sender) !== 'join') {
    throw new EventRejected(`${rule}.1`, 'not joined to the room');
  }
  // 5.6.2. If the sender's power level is greater than or equal to the ban level, and the target
  //        user's power level is less than the sender's power level, allow.
  if (context.powerLevels.canBan(sender, target)) return;
  // 5.6.3. Otherwise, reject.
  throw new EventRejected(`${rule}.3`, 'not enough power to ban this user');
};

const authoriseKnock = ({ context, sender, target, rule }: MemberCheck): void => {
  // 5.7.1. If the join_rule is anything other than knock or knock_restricted, reject.
  const { joinRule } = context;
  if (joinRule !== 'knock' && !(joinRule === 'knock_restricted' && context.rules.knockRestricted)) {
    throw new EventRejected(`${rule}.1`, 'the room does not take knocks');
  }
  // 5.7.2. If sender does not match state_key, reject.
  if (sender !== target) throw new EventRejected(`${rule}.2`, 'cannot knock for somebody else');
  // 5.7.3. If the sender's current membership is not ban, invite, or join, allow.
  const membership = context.membershipOf(sender);
  if (membership !== 'ban' && membership !== 'invite' && membership !== 'join') return;
  // 5.7.4. Otherwise, reject.
  throw new EventRejected(`${rule}.4`, `cannot knock: membership is ${membership}`);
};
