/**
 * Profiles of other servers' users, asked of their servers and kept for a few minutes.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile
 */
import { LRUCache } from 'lru-cache';
import type { ProfileFields, RemoteProfiles } from '../homeserver/accounts/profiles.ts';
import type { Clock } from '../homeserver/clock.ts';
import { matrixError } from '../spec/errors.ts';
import type { JsonObject } from '../spec/event.ts';
import { serverNameOf, type UserId } from '../spec/identifiers.ts';
import { FederationError, RefusedByServer } from './federation-error.ts';
import type { FederationClient } from './http-client.ts';

const MAX_PROFILE_BYTES = 96 * 1024;
const MAX_PROFILE_VALUES = 10_000;
const TIMEOUT_MS = 10_000;
const LIFETIME_MS = 5 * 60_000;
const MAX_CACHED = 5000;

interface Cached {
  readonly profile: Promise<ProfileFields | undefined>;
  readonly expiresAtMs: number;
}

export class FederatedProfiles implements RemoteProfiles {
  readonly #client: FederationClient;
  readonly #clock: Clock;
  readonly #cache = new LRUCache<UserId, Cached>({ max: MAX_CACHED });

  constructor(deps: { readonly client: FederationClient; readonly clock: Clock }) {
    this.#client = deps.client;
    this.#clock = deps.clock;
  }

  /**
   * The whole profile, whatever field is wanted: the next question is often for another.
   * @throws MatrixError M_FORBIDDEN, or M_UNKNOWN (502) when the server does not answer
   */
  profile(userId: UserId, asker: UserId): Promise<ProfileFields | undefined> {
    const nowMs = this.#clock.nowMs();
    const cached = this.#cache.get(userId);
    if (cached !== undefined && cached.expiresAtMs > nowMs) return cached.profile;
    const profile = this.#ask(userId, asker);
    const entry = { profile, expiresAtMs: nowMs + LIFETIME_MS };
    this.#cache.set(userId, entry);
    // A failure is nobody's profile: the next one who asks makes another try.
    profile.catch(() => {
      if (this.#cache.peek(userId) === entry) this.#cache.delete(userId);
    });
    return profile;
  }

  async #ask(userId: UserId, asker: UserId): Promise<ProfileFields | undefined> {
    try {
      const answer = await this.#client.request({
        destination: serverNameOf(userId),
        method: 'GET',
        path: '/_matrix/federation/v1/query/profile',
        query: { user_id: userId },
        timeoutMs: TIMEOUT_MS,
        purpose: 'person',
        requester: asker,
        maxBytes: MAX_PROFILE_BYTES,
        maxValues: MAX_PROFILE_VALUES,
      });
      return checkedProfile(answer);
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      if (error instanceof RefusedByServer) {
        if (error.status === 404) return undefined;
        if (error.status === 403) throw matrixError('M_FORBIDDEN', 'The profile is not public');
      }
      throw matrixError('M_UNKNOWN', error.message, {}, { status: 502 });
    }
  }
}

/** Null means that a field is not set; names and avatars that are not text are nothing. */
const checkedProfile = (answer: JsonObject): ProfileFields =>
  Object.fromEntries(
    Object.entries(answer).filter(([field, value]) => {
      if (value === undefined || value === null) return false;
      const isText = field === 'displayname' || field === 'avatar_url';
      return !isText || typeof value === 'string';
    }),
  ) as ProfileFields;
