/** How often one address or one person may do what. */
import type { Static } from 'typebox';
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

export const rateLimitsSchema = group(
  'How often one may do what; beyond it, 429 M_LIMIT_EXCEEDED.',
  {
    enabled: flag({ default: true, description: 'Whether there are any limits.' }),
    ip: limit('Requests of one address, of any kind.', 100, 500),
    default: limit('Whatever has no limit of its own below, per person.', 20, 100),
    register: limit('Registrations of one address.', 0.2, 10),
    login: limit('Logins of one address, and of one account.', 0.3, 10),
    token_check: limit('Checks of registration tokens and free user names of one address.', 1, 20),
    send: limit('Events one person sends.', 10, 50),
    redact: limit('Events one person redacts.', 5, 50),
    create_room: limit('Rooms one person makes.', 0.5, 20),
    join: limit('Rooms one person joins or knocks on.', 2, 30),
    invite: limit('People one person invites.', 2, 50),
    profile: limit('Changes to one profile.', 1, 20),
    typing: limit('Typing notices of one person.', 5, 30),
    receipt: limit('Read receipts of one person.', 10, 100),
    search: limit('Searches of one person.', 2, 20),
    keys: limit('Key uploads, queries and claims of one person.', 10, 100),
    to_device: limit('Messages to devices of one person.', 20, 100),
    upload: limit('Files one person uploads.', 1, 30),
    download: limit('Files one address downloads.', 20, 200),
    federation: limit('Requests of one other server.', 50, 500),
  },
);

export type RateLimitsConfig = Static<typeof rateLimitsSchema>;

/** The kinds of limited action: the names that routes declare. */
export type RateLimitKind = Exclude<keyof RateLimitsConfig, 'enabled'>;

/** The limits by name, as the HTTP kit takes them; `undefined` when there are to be none. */
export const rateLimitTable = ({
  enabled,
  ...kinds
}: RateLimitsConfig): Record<RateLimitKind, RateLimit> | undefined => {
  if (!enabled) return undefined;
  const limits = Object.entries(kinds).map(([kind, { per_second, burst }]) => [
    kind,
    { perSecond: per_second, burst },
  ]);
  return Object.fromEntries(limits) as Record<RateLimitKind, RateLimit>;
};
