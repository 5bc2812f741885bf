/**
 * The newest epochs, as one process knows them: what was asked by one of them is still right where
 * none since has given the key to another.
 */
import type { MemberId, Membership } from './members.ts';

const maxRemembered = 64;

export class Epochs {
  /** Newest first. */
  #known: readonly Membership[] = [];

  /** Undefined while this process has no part in any. */
  get newest(): Membership | undefined {
    return this.#known[0];
  }

  begin(membership: Membership): void {
    this.#known = [membership, ...this.#known.slice(0, maxRemembered - 1)];
  }

  /** This process does not know who there is any more. */
  forget(): void {
    this.#known = [];
  }

  /** Whether a member owns a key, and has in every epoch since the one given; it must be known. */
  hasOwned(id: MemberId, key: string, sinceEpoch: number): boolean {
    for (const membership of this.#known) {
      if (membership.ownerOf(key).id !== id) return false;
      if (membership.epoch <= sinceEpoch) return true;
    }
    return false;
  }
}
