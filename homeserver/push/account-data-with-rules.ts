/** Account data as clients read it: with the push rules, which are kept apart, among it. */
import type { JsonObject } from '../../spec/event.ts';
import type { AccountData } from '../streams/account-data.ts';
import type { PushRules } from './push-rules.ts';

/** The type under which push rules are account data; only the server writes it. */
export const pushRulesType = 'm.push_rules';

type ClientAccountData = Pick<AccountData, 'get' | 'put' | 'update'>;

export const accountDataWithRules = (
  accountData: ClientAccountData,
  pushRules: PushRules,
): ClientAccountData => ({
  put: (...entry) => accountData.put(...entry),
  update: (...change) => accountData.update(...change),
  get: async (userId, roomId, type) => {
    if (roomId !== undefined || type !== pushRulesType)
      return accountData.get(userId, roomId, type);
    const { ruleset } = await pushRules.of(userId);
    return { global: ruleset as unknown as JsonObject };
  },
});
