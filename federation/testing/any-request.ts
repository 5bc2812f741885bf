import type { FederationRequest } from '../http-client.ts';

/** What a request needs besides whom and what it asks, for tests to which that is all one. */
export const ANY_REQUEST = {
  purpose: 'room',
  timeoutMs: 10_000,
  maxBytes: 1_000_000,
  maxValues: 100_000,
} as const satisfies Partial<FederationRequest>;
