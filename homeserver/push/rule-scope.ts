/** How many events of a room have to be asked of a person's push rules, one at a time. */
import type { UserId } from '../../spec/identifiers.ts';
import { defaultRuleset, MASTER_RULE_ID } from '../../spec/push-rules/default-rules.ts';
import { compileRuleset } from '../../spec/push-rules/evaluate.ts';
import {
  PUSH_RULE_KINDS,
  type PushRule,
  type PushRuleKind,
  type PushRuleset,
} from '../../spec/push-rules/push-rule.ts';

/**
 * `plain`: marks say it all (push-mark.ts): plain events notify, quiet ones do not, special ones are
 * judged. `mentions`: the same, but that plain events do not notify either. `all`: every event is
 * judged.
 */
export type RuleScope = 'plain' | 'mentions' | 'all';

/** Scopes by room, for one person. Worked out once for all rooms: people mute hundreds. */
export const ruleScopes = (ruleset: PushRuleset): ((roomId: string) => RuleScope) => {
  const predefined = everyRule(defaultRuleset('@:' as UserId));
  const expected = new Map(predefined.map(({ rule }) => [rule.rule_id, rule]));
  const firstOfRoom = new Map<string, RuleScope>();
  let elsewhere: RuleScope = 'plain';
  for (const { kind, rule } of everyRule(ruleset)) {
    if (rule.default) {
      if (rule.rule_id === MASTER_RULE_ID && rule.enabled) return () => 'mentions';
      const asPredefined = expected.get(rule.rule_id);
      if (asPredefined === undefined || outcome(rule) !== outcome(asPredefined)) return () => 'all';
      continue;
    }
    if (!rule.enabled) continue;
    const room = roomOf(kind, rule);
    if (room === undefined) elsewhere = 'all';
    // Only the first rule of one's own counts: one that is for the whole room is the last asked.
    else if (!firstOfRoom.has(room)) {
      const silences = elsewhere === 'plain' && outcome(rule).startsWith('quiet');
      firstOfRoom.set(room, silences && isForAll(kind, rule) ? 'mentions' : 'all');
    }
  }
  return (roomId) => firstOfRoom.get(roomId.toLowerCase()) ?? elsewhere;
};

/** In the order in which they are asked. */
const everyRule = (ruleset: PushRuleset): { kind: PushRuleKind; rule: PushRule }[] =>
  PUSH_RULE_KINDS.flatMap((kind) => ruleset[kind].map((rule) => ({ kind, rule })));

/** What counts of a rule's effect. */
const outcome = (rule: PushRule): string => {
  const alone = { override: [rule], content: [], room: [], sender: [], underride: [] };
  const [compiled] = compileRuleset(alone);
  if (compiled === undefined) return 'disabled';
  const { notify, highlight } = compiled.verdict;
  return notify ? `notify ${highlight}` : 'quiet';
};

/** The one room a rule is about, in lowercase as rules compare; undefined where it may be others. */
const roomOf = (kind: PushRuleKind, rule: PushRule): string | undefined => {
  if (kind === 'room') return rule.rule_id.toLowerCase();
  if (kind !== 'override' && kind !== 'underride') return undefined;
  const condition = rule.conditions?.find(
    ({ kind, key, pattern }) =>
      kind === 'event_match' &&
      key === 'room_id' &&
      typeof pattern === 'string' &&
      !/[*?]/.test(pattern),
  );
  const pattern = condition?.['pattern'];
  return typeof pattern === 'string' ? pattern.toLowerCase() : undefined;
};

/** Whether a rule about one room matches every event of it. */
const isForAll = (kind: PushRuleKind, rule: PushRule): boolean =>
  kind === 'room' || rule.conditions?.length === 1;
