/**
 * What accounts must know of application services. Their registry implements it; a server without
 * any uses {@link noAppservices}.
 */
import type { UserId } from '../../spec/identifiers.ts';

export interface Appservice {
  readonly id: string;
  /** Whom it acts as when it names nobody. */
  readonly senderUserId: UserId;
  readonly rateLimited: boolean;
  /** Whether it may act for, and create, this user. */
  claims(userId: UserId): boolean;
}

export interface Appservices {
  /** The service that an `as_token` belongs to. */
  byToken(token: string): Appservice | undefined;
  /** The service for which alone this user id is reserved. */
  exclusiveOwner(userId: UserId): Appservice | undefined;
}

export const noAppservices: Appservices = {
  byToken: () => undefined,
  exclusiveOwner: () => undefined,
};
