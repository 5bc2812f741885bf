/** How often one address or one person may do what. */
import type { Static } from 'typebox';
import type { RateLimitName } from '../http/rate-limit-names.ts';
import type { RateLimit } from '../http/rate-limits.ts';
import { decimal, flag, group, whole } from './fields.ts';

const limit = (description: string, perSecond: number, burst: number) =>
  group(description, {
    per_second: decimal({
      default: perSecond,
      minimum: 0.0001,
      description: 'Times per second in the long run.',
    }),
    burst: whole({ default: burst, minimum: 1, description: 'Times at once after a pause.' }),
  });

const limits = {
  ip: limit('Requests of one address, of any kind.', 100, 500),
  general: limit('Whatever has no limit of its own: of one person, or of one address.', 20, 100),
  read: limit('Rooms, members, profiles and settings one person looks at.', 50, 500),
  sync: limit('Syncs of one person, of all their devices.', 20, 200),
  history: limit('Pages of history, relations and events one person reads.', 20, 200),
  login: limit('Wrong passwords for one account from one address.', 0.1, 10),
  login_address: limit('Wrong passwords from one address, whatever the account.', 0.5, 50),
  login_account: limit(
    'Wrong passwords for one account from all addresses where its owner has not lately logged in.',
    0.1,
    50,
  ),
  reauthenticate: limit(
    'Requests of one person that ask for the password again, such as for deleting devices.',
    1,
    60,
  ),
  register: limit('Steps of registering from one address; an account takes two or three.', 0.2, 50),
  token_check: limit('Checks of registration tokens and free user names of one address.', 1, 20),
  send: limit('Events one person sends.', 10, 50),
  redact: limit('Events one person redacts.', 5, 50),
  create_room: limit('Rooms one person makes.', 0.5, 20),
  join: limit('Rooms one person joins, leaves or knocks on.', 2, 30),
  invite: limit('People one person invites. A new room invites all of its own at once.', 2, 50),
  profile: limit('Changes to one profile.', 1, 20),
  typing: limit('Typing notices of one person.', 5, 30),
  receipt: limit('Read receipts of one person.', 10, 100),
  search: limit('Searches of one person.', 2, 20),
  keys: limit(
    'Key uploads, queries and claims of one person; 250 users or devices asked for count as one more.',
    10,
    100,
  ),
  claimed_keys: limit(
    'One-time keys of one device given to one person, or to all who share no room with its owner; ' +
      'beyond it, the fallback key.',
    0.01,
    10,
  ),
  claimed_keys_by_server: limit(
    'One-time keys of one device given to one other server; beyond it, the fallback key.',
    0.1,
    50,
  ),
  key_backup: limit('Requests of one person to their backup of keys.', 10, 100),
  to_device: limit('Requests of one person to send to devices; 64 KiB count as one more.', 20, 100),
  federation: limit('Requests of one other server.', 50, 500),
} satisfies Record<RateLimitName, ReturnType<typeof limit>>;

export const rateLimitsSchema = group(
  'How often one may do what; beyond it, 429 M_LIMIT_EXCEEDED.',
  { enabled: flag({ default: true, description: 'Whether there are any limits.' }), ...limits },
);

export type RateLimitsConfig = Static<typeof rateLimitsSchema>;

/** The limits by name, as the HTTP kit takes them; `undefined` when there are to be none. */
export const rateLimitTable = ({
  enabled,
  ...kinds
}: RateLimitsConfig): Record<RateLimitName, RateLimit> | undefined => {
  if (!enabled) return undefined;
  const table = Object.entries(kinds).map(([name, { per_second, burst }]) => [
    name,
    { perSecond: per_second, burst },
  ]);
  return Object.fromEntries(table) as Record<RateLimitName, RateLimit>;
};
