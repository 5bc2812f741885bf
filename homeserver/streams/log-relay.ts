/**
 * The leader's side of a log that several processes share: it writes what members ask for, and has
 * every batch told to all of them, in the order of the log. One's own writes come back by what the log
 * has filled in alone.
 *
 * Who may write a room is asked at the moment of writing, so a member that was believed dead cannot
 * write one more event of a room that has another owner now, nor of one that had another meanwhile.
 */
import type { Log, LogBatch } from './log.ts';
import {
  answersOf,
  type BodyText,
  type LogSections,
  partsFrom,
  partsText,
  type ReceiptText,
  type WriteText,
} from './log-text.ts';
import type { AskedGround } from './log-writer.ts';

/** A committed write as it is told: `receipt` to the member whose it was, `body` to all others. */
export interface RelayedWrite {
  readonly origin?: string;
  readonly body: BodyText;
  readonly receipt?: ReceiptText;
}

export interface LogRelayDeps {
  readonly log: Log;
  readonly sections: LogSections;
  /** Whether a member owns a room, and has since an epoch. */
  readonly mayWrite: (member: string, roomId: string, sinceEpoch: number) => boolean;
  /** Whether this process leads: a member has nobody to tell. */
  readonly leads: () => boolean;
  /** Called for every batch while it leads, in order. */
  readonly publish: (after: number, position: number, writes: readonly RelayedWrite[]) => void;
}

export class LogRelay {
  readonly #deps: LogRelayDeps;
  /** By member: rooms in its memory of which a write has failed. */
  readonly #failedLoads = new Map<string, Set<number>>();

  constructor(deps: LogRelayDeps) {
    this.#deps = deps;
    deps.log.onBatch((batch) => this.#publish(batch));
  }

  /**
   * A member's wish to write. Resolves after the batch has been published.
   * @throws {LogWriteFailed}
   */
  async write(member: string, { id, parts, ground }: WriteText): Promise<void> {
    const { log, sections } = this.#deps;
    await log.append({
      parts: partsFrom(sections, parts),
      origin: { member, id },
      stillValid: () => ground === undefined || this.#stands(member, ground),
      failed: () => {
        if (ground !== undefined) this.#failedOf(member).add(ground.load);
      },
    });
  }

  /** Who is there now: whoever comes back has forgotten what it had in memory. */
  keep(members: ReadonlySet<string>): void {
    for (const member of this.#failedLoads.keys()) {
      if (!members.has(member)) this.#failedLoads.delete(member);
    }
  }

  #stands(member: string, { roomId, load, epoch }: AskedGround): boolean {
    return !this.#failedOf(member).has(load) && this.#deps.mayWrite(member, roomId, epoch);
  }

  #failedOf(member: string): Set<number> {
    let failed = this.#failedLoads.get(member);
    if (failed === undefined) {
      failed = new Set();
      this.#failedLoads.set(member, failed);
    }
    return failed;
  }

  #publish({ after, position, writes }: LogBatch): void {
    if (!this.#deps.leads()) return;
    const told = writes.map(({ parts, origin }): RelayedWrite => {
      const body = { parts: partsText(parts) };
      return origin === undefined
        ? { body }
        : { body, origin: origin.member, receipt: { id: origin.id, answers: answersOf(parts) } };
    });
    this.#deps.publish(after, position, told);
  }
}
