/**
 * The names of limits. Routes may declare no other, and `homeserver/config/rate-limits.ts` has the
 * numbers of each.
 */

export const rateLimitNames = [
  'ip',
  'general',
  'read',
  'sync',
  'history',
  'login',
  'login_address',
  'login_account',
  'reauthenticate',
  'register',
  'token_check',
  'send',
  'redact',
  'create_room',
  'join',
  'invite',
  'profile',
  'typing',
  'receipt',
  'search',
  'keys',
  'claimed_keys',
  'claimed_keys_by_server',
  'key_backup',
  'to_device',
  'federation',
] as const;

export type RateLimitName = (typeof rateLimitNames)[number];
