/**
 * The leader's side of a log that several processes share: it writes what members ask for, and tells
 * every member of every batch, in the order of the log. One's own writes come back by their answers
 * alone. A batch is turned into text once, however many are told.
 *
 * Who may write a room is asked at the moment of writing, so a member that was believed dead cannot
 * write one more event of a room that has another owner now.
 */
import type { Log, LogBatch } from './log.ts';
import {
  answersOf,
  type LogSections,
  partsFrom,
  partsText,
  type RefusalText,
  type WriteText,
} from './log-text.ts';
import type { LogGround, LogWrite } from './log-writer.ts';

/** How a member is told; in the order of the calls. */
export interface RelayLink {
  batch(text: string): void;
  refuse(refusal: RefusalText): void;
}

export interface LogRelayDeps {
  readonly log: Log;
  readonly sections: LogSections;
  readonly mayWrite: (member: string, roomId: string) => boolean;
}

interface Follower {
  readonly link: RelayLink;
  /** Rooms in the member's memory of which a write has failed. */
  readonly failedLoads: Set<number>;
}

export class LogRelay {
  readonly #deps: LogRelayDeps;
  readonly #followers = new Map<string, Follower>();

  constructor(deps: LogRelayDeps) {
    this.#deps = deps;
    deps.log.onBatch((batch) => this.#tell(batch));
  }

  /** @returns the position from which on the member is told of everything */
  join(member: string, link: RelayLink): number {
    this.#followers.set(member, { link, failedLoads: new Set() });
    return this.#deps.log.position;
  }

  /** What it has asked for is still written, if it has come so far. */
  leave(member: string): void {
    this.#followers.delete(member);
  }

  /** A member's wish to write; it hears of the outcome by its link. */
  write(member: string, { id, parts, ground }: WriteText): void {
    const follower = this.#followers.get(member);
    if (follower === undefined) return;
    const refuse = (error: Error): void => follower.link.refuse({ id, message: error.message });
    try {
      const write: LogWrite = {
        parts: partsFrom(this.#deps.sections, parts),
        origin: { member, id },
        stillValid: () => ground === undefined || this.#stands(member, follower, ground),
        failed: () => {
          if (ground !== undefined) follower.failedLoads.add(ground.load);
        },
      };
      this.#deps.log.append(write).catch(refuse);
    } catch (error) {
      refuse(error as Error);
    }
  }

  #stands(member: string, { failedLoads }: Follower, { roomId, load }: LogGround): boolean {
    return !failedLoads.has(load) && this.#deps.mayWrite(member, roomId);
  }

  #tell({ after, position, writes }: LogBatch): void {
    if (this.#followers.size === 0) return;
    const told = writes.map((write) => JSON.stringify({ parts: partsText(write.parts) }));
    const textOf = (each: readonly string[]): string =>
      `{"after":${after ?? null},"position":${position},"writes":[${each.join(',')}]}`;
    const forStrangers = textOf(told);
    const askers = new Set(writes.map(({ origin }) => origin?.member));
    for (const [member, { link }] of this.#followers) {
      if (!askers.has(member)) {
        link.batch(forStrangers);
        continue;
      }
      const each = writes.map(({ origin, parts }, index) =>
        origin?.member === member
          ? JSON.stringify({ id: origin.id, answers: answersOf(parts) })
          : (told[index] as string),
      );
      link.batch(textOf(each));
    }
  }
}
