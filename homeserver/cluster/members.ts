/**
 * Who is there, and who owns what. A membership never changes; a change makes another, with a higher
 * epoch. Every process that knows an epoch reckons the same owner for a key, by rendezvous hashing:
 * when a member comes or goes, only the keys it gets or had change their owner.
 */

/** One process for as long as it runs; the next run of the same program has another. */
export type MemberId = string;

/** A Unix socket, reachable on the same machine only, or a TCP port. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

export interface Member {
  readonly id: MemberId;
  /** To be tried in this order. */
  readonly addresses: readonly Address[];
}

export class Membership {
  /** Rises with every change, from one leader to the next as well. */
  readonly epoch: number;
  /** Sorted by id; never empty. */
  readonly members: readonly Member[];
  readonly #seeds: Uint32Array;

  constructor(epoch: number, members: readonly Member[]) {
    this.epoch = epoch;
    this.members = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#seeds = Uint32Array.from(this.members, ({ id }) => hash(id));
  }

  get(id: MemberId): Member | undefined {
    return this.members.find((member) => member.id === id);
  }

  /**
   * The owner of a room, a user, a destination. Whoever chooses keys can choose them to have one
   * owner; that is no more than they can ask of one room.
   */
  ownerOf(key: string): Member {
    const keyHash = hash(key);
    const seeds = this.#seeds;
    let best = 0;
    let highest = -1;
    for (let at = 0; at < seeds.length; at++) {
      const score = mix(keyHash ^ (seeds[at] as number));
      if (score > highest) {
        highest = score;
        best = at;
      }
    }
    return this.members[best] as Member;
  }
}

/** FNV-1a over UTF-16 code units, well mixed. */
const hash = (text: string): number => {
  let h = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) h = Math.imul(h ^ text.charCodeAt(at), 0x01000193);
  return mix(h);
};

/** The finalizer of MurmurHash3: every bit of the result depends on every bit of the input. */
const mix = (value: number): number => {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};
