/** The push rules that apply to one person, in each of the forms that are asked for. */
import type { RoomId, UserId } from '../../spec/identifiers.ts';
import { type CompiledRuleset, compileRuleset } from '../../spec/push-rules/evaluate.ts';
import type { PushRuleset } from '../../spec/push-rules/push-rule.ts';
import { effectiveRuleset, type UserPushRules } from '../../spec/push-rules/user-rules.ts';
import { type RuleScope, ruleScopes } from './rule-scope.ts';

export class UserRules {
  readonly userId: UserId;
  /** What the person has changed. */
  readonly stored: UserPushRules;
  /** Position of the last change; 0 where nothing was ever changed. */
  readonly streamPos: number;
  #ruleset: PushRuleset | undefined;
  #compiled: CompiledRuleset | undefined;
  #scopes: ((roomId: string) => RuleScope) | undefined;

  constructor(userId: UserId, stored: UserPushRules, streamPos: number) {
    this.userId = userId;
    this.stored = stored;
    this.streamPos = streamPos;
  }

  get ruleset(): PushRuleset {
    this.#ruleset ??= effectiveRuleset(this.userId, this.stored);
    return this.#ruleset;
  }

  /** How many events of a room have to be asked of these rules. */
  scopeIn(roomId: RoomId): RuleScope {
    if (this.streamPos === 0) return 'plain';
    this.#scopes ??= ruleScopes(this.ruleset);
    return this.#scopes(roomId);
  }

  get compiled(): CompiledRuleset {
    this.#compiled ??= compileRuleset(this.ruleset);
    return this.#compiled;
  }
}
