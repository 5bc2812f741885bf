/**
 * Known access tokens in memory, so that an authenticated request reads no database and hashes
 * nothing. Entries leave when their account or device changes; of what other processes
 * change, account-news.ts tells.
 */
import { LRUCache } from 'lru-cache';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { DeviceRequester } from './requester.ts';

export interface CachedToken {
  /** The token's owner, as handlers see them. */
  readonly requester: DeviceRequester;
  readonly expiresAtMs: number | undefined;
  /** When the database said so. */
  readonly readAtMs: number;
}

/** Whose tokens are to be forgotten; of all devices without `deviceIds`. */
export interface TokenChange {
  readonly userId: UserId;
  readonly deviceIds: readonly DeviceId[] | undefined;
}

const MAX_TOKENS = 50_000;

export class TokenCache {
  readonly #owners: LRUCache<string, CachedToken>;
  readonly #tokensByUser = new Map<UserId, Set<string>>();
  readonly #listeners: ((change: TokenChange) => void)[] = [];
  /** Rises with every forgetting, so that a read begun before it is not kept after it. */
  #generation = 0;

  constructor(maxTokens = MAX_TOKENS) {
    this.#owners = new LRUCache<string, CachedToken>({
      max: maxTokens,
      dispose: ({ requester: { userId } }, accessToken) => {
        const tokens = this.#tokensByUser.get(userId);
        tokens?.delete(accessToken);
        if (tokens?.size === 0) this.#tokensByUser.delete(userId);
      },
    });
  }

  get generation(): number {
    return this.#generation;
  }

  get(accessToken: string): CachedToken | undefined {
    return this.#owners.get(accessToken);
  }

  /** `generation` is from before the database was read: a token revoked since is not kept. */
  set(accessToken: string, token: CachedToken, generation: number): void {
    if (generation !== this.#generation) return;
    this.#owners.set(accessToken, token);
    const { userId } = token.requester;
    const tokens = this.#tokensByUser.get(userId);
    if (tokens === undefined) this.#tokensByUser.set(userId, new Set([accessToken]));
    else tokens.add(accessToken);
  }

  drop(accessToken: string): void {
    this.#owners.delete(accessToken);
  }

  /** After the change was committed, by the process that made it. */
  changed(change: TokenChange): void {
    this.forget(change);
    for (const listener of this.#listeners) listener(change);
  }

  /** For changes made by other processes. */
  forget({ userId, deviceIds }: TokenChange): void {
    this.#generation++;
    for (const accessToken of [...(this.#tokensByUser.get(userId) ?? [])]) {
      const owner = this.#owners.peek(accessToken)?.requester;
      if (owner !== undefined && (deviceIds?.includes(owner.deviceId) ?? true)) {
        this.#owners.delete(accessToken);
      }
    }
  }

  /** For when changes made by other processes may have been missed. */
  clear(): void {
    this.#generation++;
    this.#owners.clear();
  }

  onChange(listener: (change: TokenChange) => void): void {
    this.#listeners.push(listener);
  }
}
