/** Between processes that a test plays: delivers texts one after the other, each in a turn of its own. */
export class Wire {
  #last: Promise<void> = Promise.resolve();

  send(text: string, receive: (text: string) => void): void {
    this.#last = this.#last.then(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      receive(text);
    });
  }

  /** Resolves once everything sent so far has been received. */
  get idle(): Promise<void> {
    return this.#last;
  }
}
