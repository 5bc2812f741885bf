/**
 * The predefined push rules.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#predefined-rules
 */
import type { UserId } from '../identifiers.ts';
import type { PushAction, PushCondition, PushRule, PushRuleset } from './push-rule.ts';

export const MASTER_RULE_ID = '.m.rule.master';

const defaultRule = (
  ruleId: string,
  conditions: readonly PushCondition[],
  actions: readonly PushAction[],
): PushRule => ({ rule_id: ruleId, default: true, enabled: true, conditions, actions });

const eventMatch = (key: string, pattern: string): PushCondition => ({
  kind: 'event_match',
  key,
  pattern,
});

const sound = (value: string): PushAction => ({ set_tweak: 'sound', value });
const HIGHLIGHT: PushAction = { set_tweak: 'highlight' };
const TWO_MEMBERS: PushCondition = { kind: 'room_member_count', is: '2' };

const MASTER: PushRule = {
  rule_id: MASTER_RULE_ID,
  default: true,
  enabled: false,
  conditions: [],
  actions: [],
};

// Rules that are the same for everybody are the same objects for everybody: see `isSharedRule`.
const SUPPRESS_NOTICES = defaultRule(
  '.m.rule.suppress_notices',
  [eventMatch('content.msgtype', 'm.notice')],
  [],
);

const inviteForMe = (userId: UserId): PushRule =>
  defaultRule(
    '.m.rule.invite_for_me',
    [
      eventMatch('type', 'm.room.member'),
      eventMatch('content.membership', 'invite'),
      eventMatch('state_key', userId),
    ],
    ['notify', sound('default')],
  );

const MEMBER_EVENT = defaultRule('.m.rule.member_event', [eventMatch('type', 'm.room.member')], []);

const isUserMention = (userId: UserId): PushRule =>
  defaultRule(
    '.m.rule.is_user_mention',
    [
      {
        kind: 'event_property_contains',
        key: 'content.m\\.mentions.user_ids',
        value: userId,
      },
    ],
    ['notify', sound('default'), HIGHLIGHT],
  );

const OVERRIDES_AFTER_MENTION: readonly PushRule[] = [
  defaultRule(
    '.m.rule.is_room_mention',
    [
      { kind: 'event_property_is', key: 'content.m\\.mentions.room', value: true },
      { kind: 'sender_notification_permission', key: 'room' },
    ],
    ['notify', HIGHLIGHT],
  ),
  defaultRule(
    '.m.rule.tombstone',
    [eventMatch('type', 'm.room.tombstone'), eventMatch('state_key', '')],
    ['notify', HIGHLIGHT],
  ),
  defaultRule('.m.rule.reaction', [eventMatch('type', 'm.reaction')], []),
  defaultRule(
    '.m.rule.room.server_acl',
    [eventMatch('type', 'm.room.server_acl'), eventMatch('state_key', '')],
    [],
  ),
  defaultRule(
    '.m.rule.suppress_edits',
    [{ kind: 'event_property_is', key: 'content.m\\.relates_to.rel_type', value: 'm.replace' }],
    [],
  ),
];

const UNDERRIDES: readonly PushRule[] = [
  defaultRule('.m.rule.call', [eventMatch('type', 'm.call.invite')], ['notify', sound('ring')]),
  defaultRule(
    '.m.rule.encrypted_room_one_to_one',
    [TWO_MEMBERS, eventMatch('type', 'm.room.encrypted')],
    ['notify', sound('default')],
  ),
  defaultRule(
    '.m.rule.room_one_to_one',
    [TWO_MEMBERS, eventMatch('type', 'm.room.message')],
    ['notify', sound('default')],
  ),
  defaultRule('.m.rule.message', [eventMatch('type', 'm.room.message')], ['notify']),
  defaultRule('.m.rule.encrypted', [eventMatch('type', 'm.room.encrypted')], ['notify']),
];

/** The predefined rules of a person, in the order of the specification. */
export const defaultRuleset = (userId: UserId): PushRuleset => ({
  override: [
    MASTER,
    SUPPRESS_NOTICES,
    inviteForMe(userId),
    MEMBER_EVENT,
    isUserMention(userId),
    ...OVERRIDES_AFTER_MENTION,
  ],
  content: [],
  room: [],
  sender: [],
  underride: UNDERRIDES,
});

const SHARED_RULES: ReadonlySet<PushRule> = new Set([
  MASTER,
  SUPPRESS_NOTICES,
  MEMBER_EVENT,
  ...OVERRIDES_AFTER_MENTION,
  ...UNDERRIDES,
]);

/** Whether it depends on the event alone, not on the person, if this very rule matches. */
export const isSharedRule = (rule: PushRule): boolean => SHARED_RULES.has(rule);
