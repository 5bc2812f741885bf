/**
 * Push rules in sync: as the account data `m.push_rules`, on a first sync and at every change.
 * https://spec.matrix.org/v1.19/client-server-api/#push-rules-events
 */
import { pushRulesType as type } from '../push/account-data-with-rules.ts';
import type { PushRules } from '../push/push-rules.ts';
import type { UserRules } from '../push/user-rules.ts';
import type { SyncResponse } from './response.ts';
import type { SyncContext, SyncStream } from './sync-stream.ts';

export class PushRulesStream implements SyncStream {
  readonly name = 'push rules';
  readonly #pushRules: PushRules;

  constructor(pushRules: PushRules) {
    this.#pushRules = pushRules;
  }

  prepare({ userId }: SyncContext): unknown {
    return this.#pushRules.of(userId);
  }

  collect(context: SyncContext, response: SyncResponse): Promise<void> | undefined {
    if (!context.filter.accountData.matchesEvent({ type, sender: context.userId }))
      return undefined;
    const rules = this.#pushRules.of(context.userId);
    if (rules instanceof Promise) return rules.then((loaded) => add(context, loaded, response));
    add(context, rules, response);
    return undefined;
  }
}

const add = ({ from, fullState }: SyncContext, rules: UserRules, response: SyncResponse): void => {
  if (from !== undefined && !fullState && rules.streamPos <= from.position) return;
  const content = JSON.stringify({ global: rules.ruleset });
  response.addEvent('account_data', `{"type":"${type}","content":${content}}`);
};
