/**
 * The log's writer in a process whose part in the log changes: it leads, it follows, or it looks for
 * the leader. What is written meanwhile waits a while, because most of the time somebody leads soon.
 */
import { type LogWrite, LogWriteFailed, type LogWriter } from './log-writer.ts';

/** A leader that is lost is replaced sooner. */
const maxWaitMs = 8_000;

export class ChangingWriter implements LogWriter {
  readonly #waiting = new Set<(writer: LogWriter | undefined) => void>();
  #current: LogWriter | undefined;
  #isClosed = false;

  /** Undefined while this process has no part in the log. */
  become(writer: LogWriter | undefined): void {
    this.#current = writer;
    if (writer !== undefined) this.#wake(writer);
  }

  get isOpen(): boolean {
    return this.#current?.isOpen === true;
  }

  append(write: LogWrite): Promise<void> {
    return this.#current?.append(write) ?? this.#appendLater(write);
  }

  async settled(): Promise<void> {
    await this.#current?.settled();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake(undefined);
    await this.#current?.close();
  }

  async #appendLater(write: LogWrite): Promise<void> {
    const writer = this.#isClosed ? undefined : await this.#next();
    if (writer !== undefined) return writer.append(write);
    const error = new LogWriteFailed('Nobody writes the log at present');
    write.failed?.(error);
    throw error;
  }

  #next(): Promise<LogWriter | undefined> {
    return new Promise((resolve) => {
      const done = (writer: LogWriter | undefined): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve(writer);
      };
      const timer = setTimeout(() => done(undefined), maxWaitMs);
      this.#waiting.add(done);
    });
  }

  #wake(writer: LogWriter | undefined): void {
    for (const waiting of [...this.#waiting]) waiting(writer);
  }
}
