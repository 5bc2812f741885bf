/** What is left of people: sessions that ended, tokens that expired, what they reported long ago. */
import { expiredLoginTokens } from '../storage/access-tokens.ts';
import { forgottenAccountData } from '../storage/account-data.ts';
import { LOGIN_ADDRESS_LIFETIME_MS, oldLoginAddresses } from '../storage/login-addresses.ts';
import { expiredOpenIdTokens } from '../storage/openid-tokens.ts';
import { oldRegistrationTokens } from '../storage/registration-tokens.ts';
import { oldReports } from '../storage/reports.ts';
import { expiredUiaSessions } from '../storage/uia-sessions.ts';
import { idleDirectoryUsers } from '../storage/user-directory.ts';
import { DAY_MS, expiring, MINUTE_MS, type UpkeepTask, walking } from './upkeep-task.ts';

const now = (nowMs: number) => [nowMs];

export const accountTasks: readonly UpkeepTask[] = [
  expiring({ name: 'login tokens', everyMs: 10 * MINUTE_MS }, expiredLoginTokens, now),
  expiring({ name: 'uia sessions', everyMs: 10 * MINUTE_MS }, expiredUiaSessions, now),
  expiring({ name: 'openid tokens', everyMs: 10 * MINUTE_MS }, expiredOpenIdTokens, now),
  walking(
    { name: 'login addresses', everyMs: DAY_MS, olderThanMs: LOGIN_ADDRESS_LIFETIME_MS },
    oldLoginAddresses,
  ),
  // They say why they are refused for a while.
  walking(
    { name: 'registration tokens', everyMs: DAY_MS, olderThanMs: 90 * DAY_MS },
    oldRegistrationTokens,
  ),
  walking({ name: 'reports', everyMs: DAY_MS, olderThanMs: 2 * 365 * DAY_MS }, oldReports),
  // Who comes back within a month finds their tags and notification settings.
  walking(
    { name: 'account data', everyMs: DAY_MS, olderThanMs: 30 * DAY_MS },
    forgottenAccountData,
  ),
  walking({ name: 'user directory', everyMs: DAY_MS }, idleDirectoryUsers),
];
