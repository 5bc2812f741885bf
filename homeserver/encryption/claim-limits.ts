/**
 * Who may take how many one-time keys of a device. A key is given out once, so whoever claims without
 * end would leave none for others; beyond what is allowed they get the fallback key, which is there
 * for when one-time keys have run out.
 *
 * Each person has an allowance for each device, and so has each other server. People with whom a
 * device's owner shares no room have one more in common, so that many accounts take no more than one.
 * An invite is a room shared with whoever sent it: encrypted direct rooms begin so.
 */
import type { ServerName, UserId } from '../../spec/identifiers.ts';
import type { RateLimitName } from '../http/rate-limit-names.ts';
import type { RateLimits } from '../http/rate-limits.ts';
import type { UserRooms } from '../rooms/user-rooms.ts';
import type { KeyClaim } from '../storage/device-keys.ts';

/** Somebody here, or another server. */
export type Claimant = { readonly userId: UserId } | { readonly server: ServerName };

export interface ClaimLimitsDeps {
  /** No limits without. */
  readonly limits: RateLimits | undefined;
  readonly userRooms: UserRooms;
}

export class ClaimLimits {
  readonly #deps: ClaimLimitsDeps;

  constructor(deps: ClaimLimitsDeps) {
    this.#deps = deps;
  }

  /** The claims that may take a one-time key, taken from the allowances. */
  async admit(claimant: Claimant, claims: readonly KeyClaim[]): Promise<ReadonlySet<KeyClaim>> {
    const { limits } = this.#deps;
    if (limits === undefined) return new Set(claims);
    const admitted = new Set<KeyClaim>();
    const friends = new Map<UserId, boolean>();
    for (const claim of claims) {
      const { userId, deviceId } = claim;
      const device = `${userId} ${deviceId}`;
      if ('server' in claimant) {
        const name = 'claimed_keys_by_server';
        if (tookAll(limits, name, [`${claimant.server} ${device}`])) admitted.add(claim);
        continue;
      }
      let shares = friends.get(userId);
      if (shares === undefined) {
        shares = await this.#shareRoom(claimant.userId, userId);
        friends.set(userId, shares);
      }
      const keys = [`${claimant.userId} ${device}`];
      if (!shares) keys.push(`strangers ${device}`);
      if (tookAll(limits, 'claimed_keys', keys)) admitted.add(claim);
    }
    return admitted;
  }

  async #shareRoom(claimant: UserId, owner: UserId): Promise<boolean> {
    if (claimant === owner) return true;
    const { userRooms } = this.#deps;
    const theirs = await userRooms.of(owner);
    const own = userRooms.cached(claimant) ?? (await userRooms.of(claimant));
    for (const [nid, { membership }] of own) {
      const other = membership === 'join' ? theirs.get(nid)?.membership : undefined;
      if (other === 'join' || other === 'invite') return true;
    }
    return false;
  }
}

/** Takes one of each allowance, or of none where one of them is used up. */
const tookAll = (limits: RateLimits, name: RateLimitName, keys: readonly string[]): boolean => {
  if (keys.some((key) => limits.waitMs(name, key) > 0)) return false;
  for (const key of keys) limits.take(name, key);
  return true;
};
