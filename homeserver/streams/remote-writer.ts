/**
 * A member's side of a log that several processes share: it asks the leader to write, and follows the
 * log as the leader tells it. A write is answered once the log has advanced over it here, so whoever
 * made it finds it in memory.
 */
import {
  type LogSections,
  partsFrom,
  partsText,
  type ToldText,
  takeAnswers,
  type WriteText,
} from './log-text.ts';
import {
  type LogMemory,
  type LogWrite,
  LogWriteFailed,
  LogWriteRefused,
  type LogWriter,
} from './log-writer.ts';

export interface RemoteWriterParts {
  readonly memory: LogMemory;
  readonly sections: LogSections;
  /** By which this process owns what it owns. */
  readonly epoch: () => number;
  /** Resolves after what the leader has written by then has been told; in the order of the calls. */
  readonly askLeader: (write: WriteText) => Promise<unknown>;
}

interface Pending {
  readonly write: LogWrite;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const elsewhere = { member: '', id: 0 };

export class RemoteWriter implements LogWriter {
  readonly #parts: RemoteWriterParts;
  readonly #pending = new Map<number, Pending>();
  readonly #unsettled = new Set<Promise<void>>();
  #isOpen = true;
  #lastId = 0;

  constructor(parts: RemoteWriterParts) {
    this.#parts = parts;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  append(write: LogWrite): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      const pending = { write, resolve, reject };
      if (!this.#isOpen) refuse(pending, 'There is no way to the log at present');
      else if (write.stillValid?.() === false) refuse(pending, 'An earlier write has failed');
      else this.#ask(pending);
    });
    this.#unsettled.add(done);
    const settle = (): void => void this.#unsettled.delete(done);
    done.then(settle, settle);
    return done;
  }

  /** What the leader says was written, up to a position. */
  follow(position: number, writes: readonly ToldText[]): void {
    const { memory } = this.#parts;
    const answered: Pending[] = [];
    for (const told of writes) this.#take(told, answered);
    memory.advance(position);
    for (const { resolve } of answered) resolve();
  }

  /** The leader is gone: nobody knows what became of the writes that are under way. */
  lose(reason: string): void {
    this.#isOpen = false;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const each of pending) fail(each, new LogWriteFailed(reason));
  }

  /** Resolves when everything asked for so far is committed or has failed. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#unsettled);
  }

  async close(): Promise<void> {
    while (this.#unsettled.size > 0) await this.settled();
    this.#isOpen = false;
  }

  #ask(pending: Pending): void {
    const id = ++this.#lastId;
    this.#pending.set(id, pending);
    const { askLeader, epoch } = this.#parts;
    const { parts, ground } = pending.write;
    const asked = ground && { ...ground, epoch: epoch() };
    askLeader({ id, parts: partsText(parts), ground: asked }).then(
      // It was told already, unless there was too much to tell and memory has been reset instead.
      () => this.#answered(id)?.resolve(),
      (error: Error) => {
        const answered = this.#answered(id);
        if (answered === undefined) return;
        fail(answered, error instanceof LogWriteFailed ? error : new LogWriteFailed(error.message));
      },
    );
  }

  #answered(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #take(told: ToldText, answered: Pending[]): void {
    const { memory, sections } = this.#parts;
    if ('parts' in told) {
      memory.tell({ parts: partsFrom(sections, told.parts), origin: elsewhere });
      return;
    }
    const pending = this.#answered(told.id);
    if (pending === undefined) throw new Error(`Write ${told.id} was not asked for`);
    const { write } = pending;
    takeAnswers(write.parts, told.answers);
    write.committed?.();
    memory.tell(write);
    answered.push(pending);
  }
}

const refuse = (pending: Pending, message: string): void =>
  fail(pending, new LogWriteRefused(message));

const fail = ({ write, reject }: Pending, error: LogWriteFailed): void => {
  write.failed?.(error);
  reject(error);
};
