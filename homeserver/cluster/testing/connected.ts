/** Two processes' ends of a real connection, in one process. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LogWriteFailed } from '../../streams/log.ts';
import { eventually } from '../../testing/server-process.ts';
import type { Connection, ConnectionHandlers } from '../connection.ts';
import type { Member } from '../members.ts';
import { clusterLimits, clusterTimings } from '../timings.ts';
import { dial, Listener, type ListenOptions, type TransportOptions } from '../transport.ts';
import { ErrorTranslator } from '../travelling-errors.ts';

export interface Wiring {
  readonly tcp?: boolean;
  readonly handshakeMs?: number;
  readonly dialer?: Partial<TransportOptions>;
  /** Of both ends, but for the dialler's ticks. */
  readonly connection?: Partial<TransportOptions['connection']>;
  readonly nearTickMs?: number;
  readonly near?: Partial<ConnectionHandlers>;
  readonly far?: Partial<ConnectionHandlers>;
}

const idle: ConnectionHandlers = {
  call: () => undefined,
  post: () => undefined,
  closed: () => undefined,
};

export class Wire {
  #listener: Listener | undefined;
  readonly options: TransportOptions;
  /** Those whom the listener has let in. */
  readonly accepted: Connection[] = [];
  readonly #folder: string;
  readonly #wiring: Wiring;

  private constructor(options: TransportOptions, folder: string, wiring: Wiring) {
    this.options = options;
    this.#folder = folder;
    this.#wiring = wiring;
  }

  static async open(wiring: Wiring = {}): Promise<Wire> {
    const folder = await mkdtemp(join(tmpdir(), 'wire-'));
    const options: TransportOptions = {
      serverName: 'wire.test',
      secret: Buffer.alloc(32, 1),
      self: () => ({ id: 'far', addresses: [] }),
      handshakeMs: wiring.handshakeMs ?? 300,
      connection: {
        ...clusterLimits,
        ...clusterTimings,
        tickMs: 20,
        errors: new ErrorTranslator([LogWriteFailed]),
        ...wiring.connection,
      },
    };
    const listen: ListenOptions = wiring.tcp
      ? { tcp: { bind: '127.0.0.1', port: 0, advertise: '127.0.0.1' } }
      : { path: join(folder, 'far.sock') };
    const wire = new Wire(options, folder, wiring);
    wire.#listener = await Listener.open(listen, options, (_peer, _purpose, open) => {
      wire.accepted.push(open({ ...idle, ...wiring.far }));
    });
    return wire;
  }

  get far(): Member {
    return { id: 'far', addresses: this.#listener?.addresses ?? [] };
  }

  async dial(
    member: Member = this.far,
    { post, ...own }: Partial<TransportOptions> & Partial<ConnectionHandlers> = {},
  ): Promise<Connection> {
    const { dialer, near, nearTickMs = this.options.connection.tickMs } = this.#wiring;
    const connection = { ...this.options.connection, tickMs: nearTickMs };
    const self = () => ({ id: 'near', addresses: [] });
    const before = this.accepted.length;
    const dialled = await dial(
      member,
      'call',
      { ...this.options, connection, self, ...dialer, ...own },
      { ...idle, ...near, ...(post && { post }) },
    );
    await eventually('being let in', () => this.accepted.length > before);
    return dialled;
  }

  async close(): Promise<void> {
    for (const connection of this.accepted) connection.destroy(new Error('The test is over'));
    this.#listener?.close();
    await rm(this.#folder, { recursive: true });
  }
}
