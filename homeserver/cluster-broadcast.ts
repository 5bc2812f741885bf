/** The broadcast of a server that is several processes, on the leader's ordered stream. */
import type { Logger } from 'pino';
import type { Db } from './storage/database.ts';
import { Serials } from './streams/broadcast.ts';
import {
  type KeptText,
  type NewsText,
  SharedBroadcast,
  type ToldNews,
} from './streams/shared-broadcast.ts';

export interface ClusterBroadcastDeps {
  readonly database: Db;
  readonly logger: Logger;
  readonly askLeader: (method: string, args: unknown) => Promise<unknown>;
  readonly isUnsent: (error: unknown) => boolean;
  /** Tells all members, in the stream of the log. */
  readonly publish: (told: ToldNews) => void;
}

const tellMethod = 'broadcast.tell';
const keptMethod = 'broadcast.kept';

export class ClusterBroadcast {
  readonly shared: SharedBroadcast;
  readonly #deps: ClusterBroadcastDeps;
  #serials: Serials | undefined;
  /** Once whoever hears of it is there. */
  #hasBegun = false;
  #isMember = false;

  constructor(deps: ClusterBroadcastDeps) {
    this.#deps = deps;
    this.shared = new SharedBroadcast({
      askLeader: (news) => deps.askLeader(tellMethod, news),
      isUnsent: deps.isUnsent,
    });
  }

  /** To be called before this process leads. */
  async prepare(): Promise<void> {
    this.#serials = await Serials.open(this.#deps.database);
  }

  onRole(role: 'leader' | 'member' | 'seeking'): void {
    this.#isMember = role === 'member';
    if (role === 'leader' && this.#serials !== undefined) {
      this.shared.lead({ serials: this.#serials, publish: this.#deps.publish });
    } else this.shared.follow();
  }

  /** This process has missed what was told before. */
  onReset(): void {
    if (!this.#hasBegun) return;
    void this.#restore();
  }

  /** From now on there is somebody who hears what is told. */
  async begin(): Promise<void> {
    this.#hasBegun = true;
    await this.#restore();
  }

  /** The leader's answer; undefined for what is not about the broadcast. */
  answers(method: string): ((args: unknown) => unknown) | undefined {
    if (method === tellMethod) return (news) => this.shared.relay(news as NewsText);
    if (method === keptMethod) return () => this.shared.kept();
    return undefined;
  }

  /** Where the leader is lost meanwhile, the next one's stream begins with a reset. */
  async #restore(): Promise<void> {
    if (!this.#isMember) return;
    try {
      this.shared.restore((await this.#deps.askLeader(keptMethod, null)) as KeptText);
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'who types and who is online is not known in full');
    }
  }
}
