/**
 * What requests to other servers are made for. Each purpose has slots of its own, so that no kind of
 * request, and nobody who can cause one, keeps those of another kind from running.
 */
import { RequestSlots } from './request-slots.ts';

/**
 * - `transaction`: what is to be delivered. The sender bounds these itself; see `sender/`.
 * - `room`: events, states and device lists that rooms here are kept with.
 * - `person`: what one of our users waits for. Names the user as its requester.
 * - `keys`: signing keys of servers that something is to be delivered to.
 * - `strange_keys`: signing keys of any other name, which anyone may have brought up.
 * - `notary`: signing keys that others ask us about, without saying who they are.
 */
export type Purpose = 'transaction' | 'room' | 'person' | 'keys' | 'strange_keys' | 'notary';

/** Of `federation.max_concurrent_requests`. */
const SHARES: Readonly<Record<Exclude<Purpose, 'transaction'>, number>> = {
  room: 0.4,
  person: 0.3,
  keys: 0.1,
  strange_keys: 0.1,
  notary: 0.1,
};

const MAX_RUNNING_PER_DESTINATION = 8;
const MAX_WAITING_PER_REQUESTER = 200;
const MAX_WAITING = 2_000;
/** One requester may run so much of a purpose's share; all of a small one. */
const REQUESTER_SHARE = 0.25;
const MIN_RUNNING_PER_REQUESTER = 4;

export class PurposeSlots {
  readonly #slots: ReadonlyMap<Purpose, RequestSlots>;

  constructor(maxConcurrentRequests: number) {
    this.#slots = new Map(
      Object.entries(SHARES).map(([purpose, share]) => {
        const maxRunning = Math.max(1, Math.floor(maxConcurrentRequests * share));
        const slots = new RequestSlots({
          maxRunning,
          maxRunningPerDestination: MAX_RUNNING_PER_DESTINATION,
          maxRunningPerRequester: Math.max(
            MIN_RUNNING_PER_REQUESTER,
            Math.floor(maxRunning * REQUESTER_SHARE),
          ),
          maxWaitingPerRequester: MAX_WAITING_PER_REQUESTER,
          maxWaiting: MAX_WAITING,
        });
        return [purpose as Purpose, slots];
      }),
    );
  }

  /** Runs `work` when its turn has come. @throws NoSlot */
  run<T>(
    purpose: Purpose,
    wish: { readonly destination: string; readonly requester?: string; readonly maxWaitMs: number },
    work: () => Promise<T>,
  ): Promise<T> {
    const slots = this.#slots.get(purpose);
    return slots === undefined ? work() : slots.run(wish, work);
  }
}
