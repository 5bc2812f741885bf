/**
 * What to do when a destination refuses a transaction: it may refuse everything we say, or one event
 * or EDU among the others, which may then not keep those from arriving. Whose fault it is comes out by
 * asking again with less and less, and at last with nothing at all.
 */
import { RefusedByServer } from '../federation-error.ts';
import { MAX_PDUS, type Transaction } from './transaction.ts';

/**
 * Statuses by which a server says that it does not like what it was sent. Others say that there is no
 * such path, or not now: that is no fault of what was sent.
 */
const NO_VERDICT = new Set([404, 405, 408, 429]);

export const isRefusal = (error: unknown): error is RefusedByServer =>
  error instanceof RefusedByServer &&
  error.status >= 400 &&
  error.status < 500 &&
  !NO_VERDICT.has(error.status);

/** What to do next. */
export type Step =
  /** The same again, when the time has come: it may have passed. */
  | 'repeat'
  /** What is left of it, or less of it, at once. */
  | 'less'
  /** An empty transaction: one item alone was refused. */
  | 'ask with nothing';

export class RefusedTransactions {
  #maxItems = MAX_PDUS;
  #isSuspicious = false;
  #isShutOut = false;

  /** So many items go into the next transaction. */
  get maxItems(): number {
    return this.#maxItems;
  }

  /** Whether something was refused and it has not come out yet what. */
  get isSuspicious(): boolean {
    return this.#isSuspicious;
  }

  /** Whether an empty transaction was refused as well: nothing else is worth sending. */
  get isShutOut(): boolean {
    return this.#isShutOut;
  }

  refused({ items, ephemeral }: Transaction): Step {
    if (!this.#isSuspicious) {
      this.#isSuspicious = true;
      return 'repeat';
    }
    // What is worth something only now goes without further ado.
    if (ephemeral.length > 0) return 'less';
    if (items.length <= 1) return 'ask with nothing';
    this.#maxItems = Math.floor(items.length / 2);
    return 'less';
  }

  accepted(): void {
    this.#maxItems = Math.min(MAX_PDUS, this.#maxItems * 2);
    if (this.#maxItems === MAX_PDUS) this.#isSuspicious = false;
  }

  answeredNothing(isAccepted: boolean): void {
    this.#isShutOut = !isAccepted;
    // One guilty item does not make its neighbours guilty; the next refusal is looked into at once.
    if (!isAccepted) this.#maxItems = MAX_PDUS;
  }
}
