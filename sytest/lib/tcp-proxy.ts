/** A network that can be cut, frozen and slowed down, between a server and what it connects to. */

import { createConnection, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** The near end is gone and the far end is not to know. */
  isOrphan: boolean;
}

export class TcpProxy {
  readonly port: number;
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  #isFrozen = false;
  #delayMs: () => number = () => 0;

  private constructor(listener: Server) {
    this.#listener = listener;
    this.port = (listener.address() as { port: number }).port;
  }

  /** Listens on 127.0.0.1 and passes everything on to a Unix socket. */
  static async to(socketPath: string): Promise<TcpProxy> {
    // Ends are passed on when and how the network says.
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
    const proxy = new TcpProxy(listener);
    listener.on('connection', (near) => proxy.#accept(near, socketPath));
    return proxy;
  }

  /** From here on nothing gets through, in either direction; nobody is told. */
  freeze(): void {
    this.#isFrozen = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  thaw(): void {
    this.#isFrozen = false;
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
    }
  }

  /** Whatever is sent takes this long, order kept. */
  delay(delayMs: () => number): void {
    this.#delayMs = delayMs;
  }

  /** Both ends of every connection see it reset. */
  cut(): void {
    for (const { near, far } of [...this.#pairs]) {
      near.resetAndDestroy();
      far.destroy();
    }
    this.#pairs.clear();
  }

  /**
   * The near ends see every connection reset; the far ends notice nothing and go on with what they
   * were told, until `cutFar`.
   */
  cutNear(): void {
    for (const pair of this.#pairs) {
      pair.isOrphan = true;
      pair.near.resetAndDestroy();
    }
  }

  cutFar(): void {
    for (const pair of [...this.#pairs]) {
      if (!pair.isOrphan) continue;
      pair.far.destroy();
      this.#pairs.delete(pair);
    }
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((done) => this.#listener.close(done));
  }

  #accept(near: Socket, socketPath: string): void {
    const far = createConnection({ path: socketPath, allowHalfOpen: true });
    const pair = { near, far, isOrphan: false };
    this.#pairs.add(pair);
    this.#pass(near, far);
    this.#pass(far, near);
    near.on('error', () => undefined);
    near.once('close', () => {
      if (!pair.isOrphan) far.destroy();
    });
    far.on('error', () => near.destroy());
    far.once('close', () => {
      near.destroy();
      this.#pairs.delete(pair);
    });
    if (!this.#isFrozen) return;
    near.pause();
    far.pause();
  }

  #pass(from: Socket, to: Socket): void {
    let last = Promise.resolve();
    const later = (work: () => void): void => {
      const delayMs = this.#delayMs();
      if (delayMs > 0) {
        last = last.then(() => new Promise((done) => setTimeout(done, delayMs))).then(work);
      } else {
        last = last.then(work);
      }
    };
    from.on('data', (data) => later(() => void (to.destroyed || to.write(data))));
    from.once('end', () => later(() => void (to.destroyed || to.end())));
  }
}
