/**
 * The sender of a server that may be several processes: it runs in the one that owns its name, and the
 * next takes it up where it was last stored. What was under way then may be sent twice, and is
 * recognised by the ids of its events. A server that is one process has it from start to end.
 */
import type { Logger } from '../../homeserver/ops/logger.ts';
import type { Owners } from '../../homeserver/owners.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { FederationSender } from './federation-sender.ts';
import type { EphemeralEdu } from './outbound-source.ts';

export interface OwnedSenderDeps {
  readonly owners: Owners;
  readonly logger: Logger;
  readonly start: () => Promise<FederationSender>;
}

const name = 'federation sender';
/** Whoever is next does not wait for this one. */
const handOverMs = 1_000;
const retryMs = 1_000;

export class OwnedSender {
  readonly #deps: OwnedSenderDeps;
  #sender: FederationSender | undefined;
  #turns: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  private constructor(deps: OwnedSenderDeps) {
    this.#deps = deps;
    deps.owners.onChange(() => this.#follow());
  }

  static async start(deps: OwnedSenderDeps): Promise<OwnedSender> {
    const owned = new OwnedSender(deps);
    if (owned.#isOurs) owned.#sender = await deps.start();
    return owned;
  }

  /** See `FederationSender`. Every process is told what is ephemeral; one sends it. */
  sendEphemeral(destinations: Iterable<ServerName>, edu: EphemeralEdu): void {
    this.#sender?.sendEphemeral(destinations, edu);
  }

  async save(): Promise<void> {
    await this.#sender?.save();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#retry);
    await this.#turns;
    await this.#sender?.stop();
    this.#sender = undefined;
  }

  get #isOurs(): boolean {
    return this.#deps.owners.elsewhere(name) === undefined;
  }

  #follow(): void {
    this.#turns = this.#turns.then(() => this.#change());
  }

  async #change(): Promise<void> {
    if (this.#isStopped || this.#isOurs === (this.#sender !== undefined)) return;
    try {
      if (this.#sender === undefined) this.#sender = await this.#deps.start();
      else {
        const sender = this.#sender;
        this.#sender = undefined;
        await sender.handOver(handOverMs);
      }
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'the federation sender could not be taken up');
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#follow(), retryMs).unref();
    }
  }
}
