/** A plain load balancer: connections go to one server after another, whatever is asked on them. */

import { createConnection, createServer, type Server, type Socket } from 'node:net';

export class Balancer {
  readonly port: number;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();
  readonly #ports: readonly number[];
  #next = 0;

  private constructor(listener: Server, ports: readonly number[]) {
    this.#listener = listener;
    this.#ports = ports;
    this.port = (listener.address() as { port: number }).port;
  }

  /** Listens on 127.0.0.1; a port at which nobody listens is passed over. */
  static async over(ports: readonly number[]): Promise<Balancer> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
    const balancer = new Balancer(listener, ports);
    listener.on('connection', (near) => balancer.#connect(near, ports.length));
    return balancer;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#listener.close(done));
  }

  #connect(near: Socket, attempts: number): void {
    this.#keep(near);
    const far = createConnection({
      host: '127.0.0.1',
      port: this.#ports[this.#next++ % this.#ports.length]!,
      allowHalfOpen: true,
      noDelay: true,
    });
    this.#keep(far);
    let isConnected = false;
    far.once('connect', () => {
      isConnected = true;
      near.pipe(far);
      far.pipe(near);
    });
    far.once('close', () => {
      if (!isConnected && attempts > 1 && !near.destroyed) this.#connect(near, attempts - 1);
      else near.destroy();
    });
    near.once('close', () => far.destroy());
  }

  #keep(socket: Socket): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
