/**
 * Passwords for TURN servers, made from a secret shared with them so that they expire by themselves.
 * https://spec.matrix.org/v1.19/client-server-api/#voice-over-ip
 */
import { createHmac } from 'node:crypto';
import type { UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';

export interface TurnPolicy {
  readonly uris: readonly string[];
  readonly sharedSecret: string;
  readonly lifetimeMs: number;
}

export interface TurnCredentials {
  readonly username: string;
  readonly password: string;
  readonly uris: readonly string[];
  /** In seconds. */
  readonly ttl: number;
}

/** The TURN REST API as coturn has it (`use-auth-secret`): the user name says when it expires. */
export const turnCredentials = (
  { uris, sharedSecret, lifetimeMs }: TurnPolicy,
  userId: UserId,
  clock: Clock,
): TurnCredentials => {
  const username = `${Math.floor((clock.nowMs() + lifetimeMs) / 1000)}:${userId}`;
  const password = createHmac('sha1', sharedSecret).update(username).digest('base64');
  return { username, password, uris, ttl: Math.floor(lifetimeMs / 1000) };
};
