/**
 * The memory that request bodies take while their requests are under way: one budget for the
 * process, and of it a share for each address. It belongs to the process that reads the bodies, and
 * is empty when that one starts again.
 */
import { limitExceeded } from '../../spec/errors.ts';
import { addressKey } from './rate-limits.ts';

export interface BodyBudgetLimits {
  /** Of all bodies together. */
  readonly maxBytes: number;
  /** Of the bodies of one address (an IPv6 network of 64 bits counts as one). */
  readonly maxBytesPerAddress: number;
}

export const BODY_BUDGET: BodyBudgetLimits = {
  maxBytes: 32 * 1_048_576,
  maxBytesPerAddress: 24 * 1_048_576,
};

/** A body up to this costs nothing, so that ordinary requests are served beside the largest. */
const FREE_BYTES = 65_536;
/** While it is read and parsed, a body is there in pieces, as a whole and as text. */
const COPIES = 3;
/** What one JSON value takes in memory besides its text: an empty object with its place in a list. */
const BYTES_PER_VALUE = 64;
/** For when part of what is taken is given back. */
const RETRY_AFTER_MS = 1_000;

/** What one request holds of the budget. */
export interface BodyCharge {
  /**
   * The body is known to be this large by now. What is charged only grows.
   * @throws MatrixError M_LIMIT_EXCEEDED when the budget, or the share of the address, is used up
   */
  grow(bytes: number, values: number): void;
  /** Gives everything back. */
  release(): void;
}

export class BodyBudget {
  readonly #limits: BodyBudgetLimits;
  readonly #byAddress = new Map<string, number>();
  #bytes = 0;

  constructor(limits: BodyBudgetLimits = BODY_BUDGET) {
    this.#limits = limits;
  }

  /** Charged at this moment: 0 when nothing large is under way. */
  get bytes(): number {
    return this.#bytes;
  }

  open(ip: string): BodyCharge {
    let held = 0;
    let key: string | undefined;
    return {
      grow: (bytes, values) => {
        const wanted = (bytes - FREE_BYTES) * COPIES + values * BYTES_PER_VALUE;
        if (wanted <= held) return;
        key ??= addressKey(ip);
        this.#take(key, wanted - held, held);
        held = wanted;
      },
      release: () => {
        if (key === undefined) return;
        this.#give(key, held);
        held = 0;
      },
    };
  }

  /** Of one body that holds some already. A body that is alone is bounded by its route's limits. */
  #take(key: string, bytes: number, held: number): void {
    const ofAddress = (this.#byAddress.get(key) ?? 0) + bytes;
    const { maxBytes, maxBytesPerAddress } = this.#limits;
    const tooMany = this.#bytes > held && this.#bytes + bytes > maxBytes;
    if (tooMany || (ofAddress > held + bytes && ofAddress > maxBytesPerAddress)) {
      throw limitExceeded(RETRY_AFTER_MS);
    }
    this.#bytes += bytes;
    this.#byAddress.set(key, ofAddress);
  }

  #give(key: string, bytes: number): void {
    this.#bytes -= bytes;
    const left = (this.#byAddress.get(key) ?? 0) - bytes;
    if (left > 0) this.#byAddress.set(key, left);
    else this.#byAddress.delete(key);
  }
}
