/**
 * Known access tokens in memory, so that an authenticated request reads no database. Entries leave
 * when their account or device changes; across processes, {@link TokenCache.onChange} tells others.
 */
import { LRUCache } from 'lru-cache';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { TokenOwner } from '../storage/access-tokens.ts';

export interface CachedToken extends TokenOwner {
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
  readonly #tokens: LRUCache<string, CachedToken>;
  readonly #byUser = new Map<UserId, Set<string>>();
  readonly #listeners: ((change: TokenChange) => void)[] = [];
  /** Rises with every forgetting, so that a read begun before it is not kept after it. */
  #generation = 0;

  constructor(maxTokens = MAX_TOKENS) {
    this.#tokens = new LRUCache<string, CachedToken>({
      max: maxTokens,
      dispose: (token, hash) => {
        const hashes = this.#byUser.get(token.userId);
        hashes?.delete(hash);
        if (hashes?.size === 0) this.#byUser.delete(token.userId);
      },
    });
  }

  get generation(): number {
    return this.#generation;
  }

  get(tokenHash: string): CachedToken | undefined {
    return this.#tokens.get(tokenHash);
  }

  /** `generation` is from before the database was read: a token revoked since is not kept. */
  set(tokenHash: string, token: CachedToken, generation: number): void {
    if (generation !== this.#generation) return;
    this.#tokens.set(tokenHash, token);
    const hashes = this.#byUser.get(token.userId);
    if (hashes === undefined) this.#byUser.set(token.userId, new Set([tokenHash]));
    else hashes.add(tokenHash);
  }

  drop(tokenHash: string): void {
    this.#tokens.delete(tokenHash);
  }

  /** After the change was committed, by the process that made it. */
  changed(change: TokenChange): void {
    this.forget(change);
    for (const listener of this.#listeners) listener(change);
  }

  /** For changes made by other processes. */
  forget({ userId, deviceIds }: TokenChange): void {
    this.#generation++;
    for (const hash of [...(this.#byUser.get(userId) ?? [])]) {
      const token = this.#tokens.peek(hash);
      if (token !== undefined && (deviceIds?.includes(token.deviceId) ?? true)) {
        this.#tokens.delete(hash);
      }
    }
  }

  onChange(listener: (change: TokenChange) => void): void {
    this.#listeners.push(listener);
  }
}
