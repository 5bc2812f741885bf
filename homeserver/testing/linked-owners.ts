/**
 * Who owns what among linked cores, and how they ask one another: as a cluster of processes does it,
 * but on wires in memory. Each core hears of a change of owners in its turn.
 */
import { Membership } from '../cluster/members.ts';
import { ErrorTranslator, type TravellingError } from '../cluster/travelling-errors.ts';
import { ClusterOwners, NotOwner } from '../cluster-owners.ts';
import { type Log, LogWriteFailed, LogWriteRefused } from '../streams/log.ts';
import { Wire } from './wire.ts';

/** What one core believes. */
interface Belief {
  readonly members: Membership;
  /** Keys that do not go by their hash. */
  readonly pinned: ReadonlyMap<string, string>;
  readonly before: Belief | undefined;
}

const ownerIn = ({ members, pinned }: Belief, key: string): string =>
  pinned.get(key) ?? members.ownerOf(key).id;

type Answered = { readonly answer: unknown } | { readonly error: TravellingError };

const errors = new ErrorTranslator([LogWriteFailed, LogWriteRefused, NotOwner]);

const membersOf = (epoch: number, nths: readonly number[]): Membership =>
  new Membership(
    epoch,
    nths.map((nth) => ({ id: `${nth}`, addresses: [] })),
  );

export class LinkedOwners {
  /** By core, the leader first. */
  readonly owners: readonly ClusterOwners[];
  readonly logs: Log[] = [];
  readonly #beliefs: Belief[];
  readonly #wires = new Map<string, Wire>();
  #newest: Belief;
  /** Calls that have been made so far. */
  calls = 0;

  constructor(count: number) {
    const all = Array.from({ length: count }, (_, nth) => nth);
    this.#newest = { members: membersOf(1, all), pinned: new Map(), before: undefined };
    this.#beliefs = all.map(() => this.#newest);
    this.owners = all.map(
      (nth) =>
        new ClusterOwners({
          id: `${nth}`,
          ownerOf: (key) => this.ownerOf(nth, key),
          call: (member, method, args) => this.#call(nth, Number(member), method, args),
          isUnsent: () => false,
          isLost: () => false,
          position: () => this.logs[nth]?.position ?? 0,
          reached: (position) => this.logs[nth]?.reached(position),
        }),
    );
  }

  /** Who owns a key, as one core has it. */
  ownerOf(nth: number, key: string): string {
    return ownerIn(this.#beliefs[nth] as Belief, key);
  }

  epochOf(nth: number): number {
    return (this.#beliefs[nth] as Belief).members.epoch;
  }

  /** Whether a core owns a key, and has since an epoch, as the leader has it. */
  hasOwned(id: string, key: string, sinceEpoch: number): boolean {
    for (let at = this.#beliefs[0]; at !== undefined; at = at.before) {
      if (ownerIn(at, key) !== id) return false;
      if (at.members.epoch <= sinceEpoch) return true;
    }
    return false;
  }

  /** What will be once everyone has heard of it; `tell` brings it to a core. */
  change(members: readonly number[] | undefined, pins: ReadonlyMap<string, number>): void {
    const pinned = new Map(this.#newest.pinned);
    for (const [key, nth] of pins) pinned.set(key, `${nth}`);
    const before = this.#newest;
    const nths = members ?? before.members.members.map(({ id }) => Number(id));
    this.#newest = { members: membersOf(before.members.epoch + 1, nths), pinned, before };
  }

  get newest(): Belief {
    return this.#newest;
  }

  tell(nth: number, belief: Belief): void {
    if (this.#beliefs[nth] === belief) return;
    this.#beliefs[nth] = belief;
    this.owners[nth]?.changed();
  }

  get idle(): Promise<unknown> {
    return Promise.all([...this.#wires.values()].map(({ idle }) => idle));
  }

  #call(from: number, to: number, method: string, args: unknown): Promise<unknown> {
    this.calls += 1;
    const text = JSON.stringify([method, args]);
    return new Promise((resolve, reject) => {
      const answer = (answered: Answered): void =>
        this.#wire(to, from).send(JSON.stringify(answered), (received) => {
          const back = JSON.parse(received) as Answered;
          if ('error' in back) reject(errors.decode(back.error));
          else resolve(back.answer);
        });
      this.#wire(from, to).send(text, (received) => {
        const [name, given] = JSON.parse(received) as [string, unknown];
        (this.owners[to] as ClusterOwners).handle(name, given).then(
          (value) => answer({ answer: value ?? null }),
          (error) => answer({ error: errors.encode(error) }),
        );
      });
    });
  }

  #wire(from: number, to: number): Wire {
    const name = `${from} ${to}`;
    let wire = this.#wires.get(name);
    if (wire === undefined) {
      wire = new Wire();
      this.#wires.set(name, wire);
    }
    return wire;
  }
}
