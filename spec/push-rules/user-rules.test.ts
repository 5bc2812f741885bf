import type { JsonObject } from '../event.ts';
import type { UserId } from '../identifiers.ts';
import type { PushRuleKind } from './push-rule.ts';
import {
  changeRule,
  deleteRule,
  effectiveRuleset,
  findRule,
  NO_USER_PUSH_RULES,
  putRule,
  type RulePlacement,
  type UserPushRules,
} from './user-rules.ts';
import { parseActions, parseUserRule } from './validate-rule.ts';

const ALICE = '@alice:example.org' as UserId;

const put = (
  stored: UserPushRules,
  kind: PushRuleKind,
  ruleId: string,
  placement?: RulePlacement,
  body: JsonObject = { actions: ['notify'], pattern: 'x' },
) => putRule(stored, kind, parseUserRule(kind, ruleId, body), placement);

const idsOf = (stored: UserPushRules, kind: PushRuleKind) =>
  stored.rules[kind].map(({ rule_id }) => rule_id);

const withABC = ['c', 'b', 'a'].reduce(
  (stored, ruleId) => put(stored, 'room', ruleId),
  NO_USER_PUSH_RULES,
);

const refused = (errcode: string, status: number) => expect.objectContaining({ errcode, status });

describe('adding rules', () => {
  it('puts a new rule first', () => {
    expect(idsOf(withABC, 'room')).toEqual(['a', 'b', 'c']);
  });

  it('puts it next to another', () => {
    expect(idsOf(put(withABC, 'room', 'new', { before: 'b' }), 'room')).toEqual([
      'a',
      'new',
      'b',
      'c',
    ]);
    expect(idsOf(put(withABC, 'room', 'new', { after: 'b' }), 'room')).toEqual([
      'a',
      'b',
      'new',
      'c',
    ]);
    expect(idsOf(put(withABC, 'room', 'new', { before: 'a', after: 'c' }), 'room')).toEqual([
      'new',
      'a',
      'b',
      'c',
    ]);
  });

  it('replaces a rule where it stands, and moves it only if told to', () => {
    const changed = put(withABC, 'room', 'b', {}, { actions: [] });
    expect(idsOf(changed, 'room')).toEqual(['a', 'b', 'c']);
    expect(changed.rules.room[1]?.actions).toEqual([]);
    expect(idsOf(put(withABC, 'room', 'a', { after: 'c' }), 'room')).toEqual(['b', 'c', 'a']);
    expect(idsOf(put(withABC, 'room', 'c', { before: 'a' }), 'room')).toEqual(['c', 'a', 'b']);
  });

  it('leaves a replaced rule disabled', () => {
    const disabled = changeRule(withABC, 'room', 'b', { enabled: false });
    expect(put(disabled, 'room', 'b').rules.room[1]?.enabled).toBe(false);
    expect(put(disabled, 'room', 'b', { before: 'a' }).rules.room[0]?.enabled).toBe(false);
    expect(put(disabled, 'room', 'new').rules.room[0]?.enabled).toBe(true);
  });

  it('refuses to place a rule by one that is not there, predefined, or itself', () => {
    expect(() => put(withABC, 'room', 'new', { before: 'x' })).toThrow(refused('M_UNKNOWN', 400));
    expect(() => put(withABC, 'room', 'a', { after: 'a' })).toThrow(refused('M_UNKNOWN', 400));
    expect(() => put(withABC, 'override', 'new', { after: '.m.rule.master' })).toThrow(
      refused('M_UNKNOWN', 400),
    );
    expect(() => put(withABC, 'sender', 'new', { before: 'a' })).toThrow(refused('M_UNKNOWN', 400));
  });

  it('changes nothing in what it was given', () => {
    const frozen = structuredClone(withABC);
    put(withABC, 'room', 'new', { before: 'b' });
    changeRule(withABC, 'room', 'a', { enabled: false });
    deleteRule(withABC, 'room', 'a');
    expect(withABC).toEqual(frozen);
  });

  it('stops at a thousand rules of a kind', () => {
    let stored = NO_USER_PUSH_RULES;
    for (let index = 0; index < 1_000; index++) stored = put(stored, 'content', `${index}`);
    expect(() => put(stored, 'content', 'one more')).toThrow(refused('M_INVALID_PARAM', 400));
    expect(idsOf(put(stored, 'content', '7'), 'content')).toHaveLength(1_000);
  });
});

describe('changing and removing rules', () => {
  it('removes user-made rules only', () => {
    expect(idsOf(deleteRule(withABC, 'room', 'b'), 'room')).toEqual(['a', 'c']);
    expect(() => deleteRule(withABC, 'room', 'x')).toThrow(refused('M_NOT_FOUND', 404));
    expect(() => deleteRule(withABC, 'override', '.m.rule.master')).toThrow(
      refused('M_NOT_FOUND', 404),
    );
  });

  it('enables, disables and sets actions of user-made rules', () => {
    const changed = changeRule(withABC, 'room', 'b', { actions: ['dont_notify'] });
    expect(changed.rules.room[1]).toMatchObject({ actions: ['dont_notify'], enabled: true });
    expect(() => changeRule(withABC, 'room', 'x', { enabled: true })).toThrow(
      refused('M_NOT_FOUND', 404),
    );
  });

  it('enables, disables and sets actions of predefined rules', () => {
    const silent = changeRule(NO_USER_PUSH_RULES, 'underride', '.m.rule.message', { actions: [] });
    const both = changeRule(silent, 'underride', '.m.rule.message', { enabled: false });
    const rule = findRule(effectiveRuleset(ALICE, both), 'underride', '.m.rule.message');
    expect(rule).toMatchObject({ actions: [], enabled: false, default: true });
    expect(() => changeRule(both, 'override', '.not.a.rule', { enabled: true })).toThrow(
      refused('M_NOT_FOUND', 404),
    );
    expect(() => changeRule(both, 'room', '.m.rule.message', { enabled: true })).toThrow(
      refused('M_NOT_FOUND', 404),
    );
  });
});

describe('the resulting ruleset', () => {
  const ruleset = effectiveRuleset(
    ALICE,
    put(put(withABC, 'override', 'mine'), 'underride', 'also mine'),
  );

  it('has user-made rules before predefined ones, but the master rule before all', () => {
    expect(ruleset.override.map(({ rule_id }) => rule_id).slice(0, 3)).toEqual([
      '.m.rule.master',
      'mine',
      '.m.rule.suppress_notices',
    ]);
    expect(ruleset.underride[0]?.rule_id).toBe('also mine');
    expect(ruleset.room.map(({ rule_id }) => rule_id)).toEqual(['a', 'b', 'c']);
  });

  it('is about the right person', () => {
    expect(findRule(ruleset, 'override', '.m.rule.is_user_mention').conditions).toEqual([
      {
        kind: 'event_property_contains',
        key: String.raw`content.m\.mentions.user_ids`,
        value: ALICE,
      },
    ]);
  });

  it('does not know other rules', () => {
    expect(() => findRule(ruleset, 'override', 'x')).toThrow(refused('M_NOT_FOUND', 404));
  });
});

describe('the rule in a request', () => {
  const actions = ['notify', { set_tweak: 'sound', value: 'default' }];

  it('keeps what its kind has a use for', () => {
    const conditions = [{ kind: 'org.example.unknown', anything: [1] }];
    const body = { actions, conditions, pattern: 'cake*lie', extra: true };
    const common = { rule_id: 'id', default: false, enabled: true, actions };
    expect(parseUserRule('override', 'id', body)).toEqual({ ...common, conditions });
    expect(parseUserRule('underride', 'id', { actions })).toEqual({ ...common, conditions: [] });
    expect(parseUserRule('content', 'id', body)).toEqual({ ...common, pattern: 'cake*lie' });
    expect(parseUserRule('room', 'id', body)).toEqual(common);
    expect(parseUserRule('sender', 'тест', body)).toEqual({ ...common, rule_id: 'тест' });
  });

  it.each(['', '.mine', 'a/b', 'a\\b', 'x'.repeat(1_025)])('may not have the id %j', (ruleId) => {
    expect(() => parseUserRule('room', ruleId, { actions })).toThrow(
      refused('M_INVALID_PARAM', 400),
    );
  });

  it.each([
    [undefined, 'M_MISSING_PARAM'],
    ['notify', 'M_INVALID_PARAM'],
    [['not_an_action'], 'M_INVALID_PARAM'],
    [[{ sound: 'x' }], 'M_INVALID_PARAM'],
    [[null], 'M_INVALID_PARAM'],
    [Array(33).fill('notify'), 'M_INVALID_PARAM'],
  ])('may not have the actions %j', (bad, errcode) => {
    expect(() => parseActions(bad)).toThrow(refused(errcode, 400));
  });

  it.each<[unknown]>([
    ['text'],
    [[{}]],
    [['event_match']],
    [[{ kind: 7 }]],
    [[{ kind: 'event_match', key: 'type' }]],
    [[{ kind: 'event_property_is', key: 'type', value: [] }]],
    [[{ kind: 'event_property_contains', key: 'type', value: 0.5 }]],
    [[{ kind: 'room_member_count', is: 2 }]],
    [[{ kind: 'sender_notification_permission' }]],
  ])('may not have the conditions %j', (conditions) => {
    expect(() => parseUserRule('override', 'id', { actions, conditions } as JsonObject)).toThrow(
      refused('M_INVALID_PARAM', 400),
    );
  });

  it('needs a pattern for content', () => {
    expect(() => parseUserRule('content', 'id', { actions })).toThrow(
      refused('M_MISSING_PARAM', 400),
    );
    expect(() => parseUserRule('content', 'id', { actions, pattern: 1 })).toThrow(
      refused('M_INVALID_PARAM', 400),
    );
  });
});
