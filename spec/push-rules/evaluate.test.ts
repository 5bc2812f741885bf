import type { JsonObject, MatrixEvent, Pdu } from '../event.ts';
import type { EventId, RoomId, UserId } from '../identifiers.ts';
import { defaultRuleset } from './default-rules.ts';
import { compileRuleset, evaluateRuleset } from './evaluate.ts';
import { PreparedEvent, type PushRoomContext } from './prepared-event.ts';
import type { PushAction, PushCondition, PushRule, PushRuleset } from './push-rule.ts';

const ALICE = '@alice:example.org' as UserId;
const BOB = '@bob:example.org' as UserId;

const eventOf = (
  type: string,
  content: JsonObject,
  { sender = BOB, ...extra }: Partial<Pdu> = {},
): MatrixEvent =>
  ({
    eventId: '$event' as EventId,
    roomId: '!room:example.org' as RoomId,
    type,
    sender,
    content,
    stateKey: extra.state_key,
    pdu: { type, content, sender, ...extra },
  }) as unknown as MatrixEvent;

const say = (body: string, content: JsonObject = {}) =>
  eventOf('m.room.message', { msgtype: 'm.text', body, ...content });

const ROOM: PushRoomContext = { memberCount: 10, senderPowerLevel: 0, notificationLevels: {} };

const evaluate = (
  ruleset: PushRuleset,
  event: MatrixEvent,
  room: Partial<PushRoomContext> = {},
  displayName?: string,
) =>
  evaluateRuleset(
    compileRuleset(ruleset),
    new PreparedEvent(event, { ...ROOM, ...room }),
    displayName,
  );

describe('the predefined rules', () => {
  const rules = defaultRuleset(ALICE);
  const ruleFor = (event: MatrixEvent, room?: Partial<PushRoomContext>) =>
    evaluate(rules, event, room).ruleId;

  it('are those of the specification, in its order', () => {
    expect(rules.override.map(({ rule_id }) => rule_id)).toEqual([
      '.m.rule.master',
      '.m.rule.suppress_notices',
      '.m.rule.invite_for_me',
      '.m.rule.member_event',
      '.m.rule.is_user_mention',
      '.m.rule.is_room_mention',
      '.m.rule.tombstone',
      '.m.rule.reaction',
      '.m.rule.room.server_acl',
      '.m.rule.suppress_edits',
    ]);
    expect(rules.underride.map(({ rule_id }) => rule_id)).toEqual([
      '.m.rule.call',
      '.m.rule.encrypted_room_one_to_one',
      '.m.rule.room_one_to_one',
      '.m.rule.message',
      '.m.rule.encrypted',
    ]);
    expect([rules.content, rules.room, rules.sender]).toEqual([[], [], []]);
    const all = [...rules.override, ...rules.underride];
    expect(all.every((rule) => rule.default)).toBe(true);
    expect(all.filter(({ enabled }) => !enabled).map(({ rule_id }) => rule_id)).toEqual([
      '.m.rule.master',
    ]);
  });

  it('notify of messages, with a sound between two people', () => {
    expect(evaluate(rules, say('hello'))).toEqual({
      ruleId: '.m.rule.message',
      actions: ['notify'],
      notify: true,
      highlight: false,
    });
    expect(evaluate(rules, say('hello'), { memberCount: 2 })).toEqual({
      ruleId: '.m.rule.room_one_to_one',
      actions: ['notify', { set_tweak: 'sound', value: 'default' }],
      notify: true,
      highlight: false,
    });
    const encrypted = eventOf('m.room.encrypted', { algorithm: 'm.megolm.v1.aes-sha2' });
    expect(ruleFor(encrypted)).toBe('.m.rule.encrypted');
    expect(ruleFor(encrypted, { memberCount: 2 })).toBe('.m.rule.encrypted_room_one_to_one');
    expect(evaluate(rules, eventOf('m.call.invite', {})).actions).toContainEqual({
      set_tweak: 'sound',
      value: 'ring',
    });
  });

  it('notify of an invite, but only the one invited', () => {
    const invite = (state_key: string) =>
      eventOf('m.room.member', { membership: 'invite' }, { state_key });
    expect(ruleFor(invite(ALICE))).toBe('.m.rule.invite_for_me');
    expect(evaluate(rules, invite(BOB))).toMatchObject({
      ruleId: '.m.rule.member_event',
      notify: false,
    });
  });

  it('highlight a mention of the user', () => {
    const mention = (user: string) => say('hi', { 'm.mentions': { user_ids: [user] } });
    expect(evaluate(rules, mention(ALICE))).toMatchObject({
      ruleId: '.m.rule.is_user_mention',
      notify: true,
      highlight: true,
    });
    expect(ruleFor(mention(BOB))).toBe('.m.rule.message');
    expect(ruleFor(say('hi', { 'm.mentions': { user_ids: ALICE } }))).toBe('.m.rule.message');
  });

  it('highlight a mention of the room by someone who may', () => {
    const mention = say('@room', { 'm.mentions': { room: true } });
    expect(ruleFor(mention, { senderPowerLevel: 50 })).toBe('.m.rule.is_room_mention');
    expect(ruleFor(mention, { senderPowerLevel: 49 })).toBe('.m.rule.message');
    expect(ruleFor(mention, { notificationLevels: { room: 0 } })).toBe('.m.rule.is_room_mention');
    expect(
      ruleFor(mention, {
        senderPowerLevel: Number.POSITIVE_INFINITY,
        notificationLevels: { room: 1_000 },
      }),
    ).toBe('.m.rule.is_room_mention');
    expect(
      ruleFor(say('@room', { 'm.mentions': { room: 'true' } }), { senderPowerLevel: 100 }),
    ).toBe('.m.rule.message');
  });

  it.each([
    ['.m.rule.suppress_notices', eventOf('m.room.message', { msgtype: 'm.notice', body: 'x' })],
    ['.m.rule.reaction', eventOf('m.reaction', {})],
    ['.m.rule.room.server_acl', eventOf('m.room.server_acl', {}, { state_key: '' })],
    ['.m.rule.suppress_edits', say('* x', { 'm.relates_to': { rel_type: 'm.replace' } })],
  ])('%s keeps quiet', (ruleId, event) => {
    expect(evaluate(rules, event)).toMatchObject({ ruleId, notify: false, actions: [] });
  });

  it('announce a tombstone, if it is a state event', () => {
    expect(evaluate(rules, eventOf('m.room.tombstone', {}, { state_key: '' }))).toMatchObject({
      ruleId: '.m.rule.tombstone',
      highlight: true,
    });
    expect(ruleFor(eventOf('m.room.tombstone', {}))).toBeUndefined();
  });

  it('say nothing of other events', () => {
    expect(evaluate(rules, eventOf('org.example.thing', {}))).toEqual({
      ruleId: undefined,
      actions: [],
      notify: false,
      highlight: false,
    });
  });

  it('give each event its own answer, whoever was evaluated before', () => {
    const [alices, bobs] = [ALICE, BOB].map((user) => compileRuleset(defaultRuleset(user)));
    const [message, reaction] = [say('x'), eventOf('m.reaction', {})].map(
      (event) => new PreparedEvent(event, ROOM),
    );
    for (let round = 0; round < 2; round++) {
      for (const ruleset of [alices!, bobs!]) {
        expect(evaluateRuleset(ruleset, message!, undefined).ruleId).toBe('.m.rule.message');
        expect(evaluateRuleset(ruleset, reaction!, undefined).ruleId).toBe('.m.rule.reaction');
      }
    }
  });

  it('are all overruled by the master rule', () => {
    const override = rules.override.map((rule) =>
      rule.rule_id === '.m.rule.master' ? { ...rule, enabled: true } : rule,
    );
    expect(evaluate({ ...rules, override }, say('hello'))).toMatchObject({
      ruleId: '.m.rule.master',
      notify: false,
    });
  });
});

const EMPTY: PushRuleset = { override: [], content: [], room: [], sender: [], underride: [] };

const rule = (
  ruleId: string,
  extra: Partial<PushRule> = {},
  actions: PushAction[] = ['notify'],
): PushRule => ({ rule_id: ruleId, default: false, enabled: true, actions, ...extra });

describe('priority', () => {
  const event = say('tea time');
  const ruleset: PushRuleset = {
    override: [rule('an-override')],
    content: [rule('tea', { pattern: 'tea' }), rule('time', { pattern: 'time' })],
    room: [rule('!room:example.org')],
    sender: [rule(BOB)],
    underride: [rule('an-underride')],
  };

  it('goes by kind, then by the order within the kind', () => {
    const order: (string | undefined)[] = [];
    let rest = ruleset;
    for (let verdict = evaluate(rest, event); verdict.ruleId !== undefined; ) {
      order.push(verdict.ruleId);
      const without = (rules: readonly PushRule[]) =>
        rules.filter(({ rule_id }) => rule_id !== verdict.ruleId);
      rest = {
        override: without(rest.override),
        content: without(rest.content),
        room: without(rest.room),
        sender: without(rest.sender),
        underride: without(rest.underride),
      };
      verdict = evaluate(rest, event);
    }
    expect(order).toEqual(['an-override', 'tea', 'time', '!room:example.org', BOB, 'an-underride']);
  });

  it('passes over disabled rules', () => {
    const disabled = { ...ruleset, override: [rule('an-override', { enabled: false })] };
    expect(evaluate(disabled, event).ruleId).toBe('tea');
  });

  it('room and sender rules are for their room and sender only', () => {
    const others = { ...EMPTY, room: [rule('!other:example.org')], sender: [rule(ALICE)] };
    expect(evaluate(others, event).ruleId).toBeUndefined();
  });
});

describe('actions', () => {
  const verdict = (...actions: PushAction[]) =>
    evaluate({ ...EMPTY, override: [rule('r', {}, actions)] }, say('x'));

  it('leave out the historical ones', () => {
    expect(verdict('dont_notify')).toMatchObject({ actions: [], notify: false });
    expect(verdict('notify', 'coalesce').actions).toEqual(['notify']);
  });

  it('highlight unless told otherwise', () => {
    expect(verdict('notify', { set_tweak: 'highlight' }).highlight).toBe(true);
    expect(verdict('notify', { set_tweak: 'highlight', value: true }).highlight).toBe(true);
    expect(verdict('notify', { set_tweak: 'highlight', value: false }).highlight).toBe(false);
    expect(verdict({ set_tweak: 'highlight' }).highlight).toBe(false);
  });
});

describe('conditions', () => {
  const holds = (
    condition: PushCondition,
    event: MatrixEvent,
    room?: Partial<PushRoomContext>,
    displayName?: string,
  ) =>
    evaluate(
      { ...EMPTY, override: [rule('r', { conditions: [condition] })] },
      event,
      room,
      displayName,
    ).ruleId === 'r';
  const topic = (value: JsonObject[string]) =>
    eventOf('m.room.topic', { topic: value }, { state_key: '' });

  it.each(['Lunch plans', 'LUNCH'])('event_match takes lunc?* for %j', (value) => {
    expect(
      holds({ kind: 'event_match', key: 'content.topic', pattern: 'lunc?*' }, topic(value)),
    ).toBe(true);
  });

  it.each([' lunch', 'lunc', null, 7])('event_match does not take lunc?* for %j', (value) => {
    expect(
      holds({ kind: 'event_match', key: 'content.topic', pattern: 'lunc?*' }, topic(value)),
    ).toBe(false);
  });

  it('event_match needs the property, even for *', () => {
    const any = (key: string): PushCondition => ({ kind: 'event_match', key, pattern: '*' });
    expect(holds(any('content.topic'), topic(''))).toBe(true);
    expect(holds(any('content.missing'), topic('x'))).toBe(false);
    expect(holds(any('content.constructor.name'), topic('x'))).toBe(false);
  });

  it('event_match finds the ids of the event and the room', () => {
    const match = (key: string, pattern: string) =>
      holds({ kind: 'event_match', key, pattern }, say('x'));
    expect(match('room_id', '!room:example.org')).toBe(true);
    expect(match('event_id', '$event')).toBe(true);
    expect(match('sender', '@bob:*')).toBe(true);
  });

  it('event_match looks for words in the body', () => {
    const match = (pattern: string, body: string) =>
      holds({ kind: 'event_match', key: 'content.body', pattern }, say(body));
    expect(match('ex*ple', 'An example event.')).toBe(true);
    expect(match('ex*ple', 'An exciting triple-whammy')).toBe(true);
    expect(match('cake', 'Pancakes')).toBe(false);
  });

  it('event_property_is compares exactly', () => {
    const federate = (value: JsonObject[string], expected: JsonObject[string] = true) =>
      holds(
        { kind: 'event_property_is', key: String.raw`content.m\.federate`, value: expected },
        eventOf('m.room.create', { 'm.federate': value }),
      );
    expect(federate(true)).toBe(true);
    expect(federate('true')).toBe(false);
    expect(federate(1)).toBe(false);
    expect(federate(null, null)).toBe(true);
    expect(federate(undefined, null)).toBe(false);
    expect(federate([], [])).toBe(false);
    expect(federate(1.5, 1.5)).toBe(false);
  });

  it('event_property_contains looks into arrays', () => {
    const contains = (values: JsonObject[string]) =>
      holds(
        { kind: 'event_property_contains', key: 'content.alt_aliases', value: '#a:example.org' },
        eventOf('m.room.canonical_alias', { alt_aliases: values }),
      );
    expect(contains(['#b:example.org', '#a:example.org'])).toBe(true);
    expect(contains([':example.org', {}, null])).toBe(false);
    expect(contains('#a:example.org')).toBe(false);
  });

  it('contains_display_name takes the name for text', () => {
    const named = (displayName: string | undefined, body: string) =>
      holds({ kind: 'contains_display_name' }, say(body), {}, displayName);
    expect(named('Alice M', 'is alice m. here?')).toBe(true);
    expect(named('Alice M', 'malice me')).toBe(false);
    expect(named('a*', 'abc')).toBe(false);
    expect(named('a*', 'see a*')).toBe(true);
    expect(named(undefined, 'undefined')).toBe(false);
    expect(named('', 'anything')).toBe(false);
  });

  it.each([
    ['2', [2]],
    ['==2', [2]],
    ['<2', [1]],
    ['>2', [3]],
    ['<=2', [1, 2]],
    ['>=2', [2, 3]],
    ['!=2', []],
    [' 2', []],
    ['two', []],
    ['', []],
  ])('room_member_count %j holds for %j', (is, counts) => {
    const held = [1, 2, 3].filter((memberCount) =>
      holds({ kind: 'room_member_count', is }, say('x'), { memberCount }),
    );
    expect(held).toEqual(counts);
  });

  it('sender_notification_permission knows other types than room', () => {
    const may = (key: string, room: Partial<PushRoomContext>) =>
      holds({ kind: 'sender_notification_permission', key }, say('x'), room);
    const notificationLevels = { 'org.example.all': 10 };
    expect(may('org.example.all', { notificationLevels, senderPowerLevel: 10 })).toBe(true);
    expect(may('org.example.all', { notificationLevels, senderPowerLevel: 9 })).toBe(false);
    expect(may('toString', { senderPowerLevel: 50 })).toBe(true);
  });

  it.each<PushCondition>([
    { kind: 'org.example.unknown' },
    { kind: 'event_match', key: 'type' },
    { kind: 'event_match', pattern: '*' },
    { kind: 'event_property_is', key: 'type' },
    { kind: 'room_member_count', is: 2 },
    { kind: 'sender_notification_permission' },
  ])('%j never holds', (condition) => {
    expect(holds(condition, say('x'), { memberCount: 2, senderPowerLevel: 100 })).toBe(false);
  });

  it('all have to hold', () => {
    const both = (pattern: string) => {
      const conditions: PushCondition[] = [
        { kind: 'event_match', key: 'type', pattern: 'm.room.message' },
        { kind: 'event_match', key: 'content.body', pattern },
      ];
      return evaluate({ ...EMPTY, override: [rule('r', { conditions })] }, say('hello')).ruleId;
    };
    expect(both('hello')).toBe('r');
    expect(both('goodbye')).toBeUndefined();
  });
});
