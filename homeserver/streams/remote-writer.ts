/**
 * A member's side of a log that several processes share: it asks the leader to write, and follows the
 * log as the leader tells it. A write is answered once the log has advanced over it here, so whoever
 * made it finds it in memory.
 */

import type { BatchText, LogSections, RefusalText, ToldText, WriteText } from './log-text.ts';
import { partsFrom, partsText, takeAnswers } from './log-text.ts';
import { type LogMemory, type LogWrite, LogWriteFailed, type LogWriter } from './log-writer.ts';

/** The way to the leader; messages arrive in the order in which they are sent. */
export interface LeaderLink {
  write(write: WriteText): void;
}

interface Pending {
  readonly write: LogWrite;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class RemoteWriter implements LogWriter {
  readonly #memory: LogMemory;
  readonly #sections: LogSections;
  readonly #pending = new Map<number, Pending>();
  readonly #unsettled = new Set<Promise<void>>();
  #link: LeaderLink | undefined;
  #lastId = 0;
  /** Up to where the log was told. */
  #position: number;

  constructor(memory: LogMemory, sections: LogSections, link: LeaderLink, position: number) {
    this.#memory = memory;
    this.#sections = sections;
    this.#link = link;
    this.#position = position;
  }

  get isOpen(): boolean {
    return this.#link !== undefined;
  }

  append(write: LogWrite): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      const pending = { write, resolve, reject };
      if (this.#link === undefined) fail(pending, 'There is no way to the log at present');
      else if (write.stillValid?.() === false) fail(pending, 'An earlier write has failed');
      else {
        const id = ++this.#lastId;
        this.#pending.set(id, pending);
        this.#link.write({ id, parts: partsText(write.parts), ground: write.ground });
      }
    });
    this.#unsettled.add(done);
    const settle = (): void => void this.#unsettled.delete(done);
    done.then(settle, settle);
    return done;
  }

  /** What the leader says of the log. @throws where it does not follow on what was said before */
  follow({ after, position, writes }: BatchText): void {
    if (after === null) this.#memory.lose();
    else if (after !== this.#position) {
      throw new Error(`The log goes on after ${after} and not after ${this.#position}`);
    }
    const answered: Pending[] = [];
    for (const told of writes) this.#take(told, answered);
    this.#position = position;
    this.#memory.advance(position);
    for (const { resolve } of answered) resolve();
  }

  refused({ id, message }: RefusalText): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending !== undefined) fail(pending, message);
  }

  /** The leader is gone: nobody knows what became of the writes that are under way. */
  lose(reason: string): void {
    this.#link = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const each of pending) fail(each, reason);
    this.#memory.lose();
  }

  /** Resolves when everything asked for so far is committed or has failed. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#unsettled);
  }

  async close(): Promise<void> {
    while (this.#unsettled.size > 0) await this.settled();
    this.#link = undefined;
  }

  #take(told: ToldText, answered: Pending[]): void {
    if (!('id' in told)) {
      this.#memory.tell({ parts: partsFrom(this.#sections, told.parts), origin: elsewhere });
      return;
    }
    const pending = this.#pending.get(told.id);
    if (pending === undefined) throw new Error(`Write ${told.id} was not asked for`);
    this.#pending.delete(told.id);
    const { write } = pending;
    takeAnswers(write.parts, told.answers);
    write.committed?.();
    this.#memory.tell(write);
    answered.push(pending);
  }
}

const elsewhere = { member: '', id: 0 };

const fail = ({ write, reject }: Pending, message: string): void => {
  const error = new LogWriteFailed(message);
  write.failed?.(error);
  reject(error);
};
