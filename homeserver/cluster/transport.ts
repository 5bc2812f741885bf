/**
 * Where connections come from: a Unix socket for the processes of one machine, TCP for those of
 * others, encrypted with a key made of the secret (TLS-PSK, with forward secrecy). Either way the
 * handshake follows.
 */
import { createHmac, randomUUID } from 'node:crypto';
import { chmod, rm } from 'node:fs/promises';
import {
  type AddressInfo,
  createServer,
  connect as netConnect,
  type Server,
  type Socket,
} from 'node:net';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { Connection, type ConnectionHandlers, type ConnectionOptions } from './connection.ts';
import { FrameSocket } from './frames.ts';
import {
  HandshakeFailed,
  type HandshakeOptions,
  handshake,
  handshakeLimits,
  type Purpose,
} from './handshake.ts';
import type { Address, Member } from './members.ts';

export interface ListenOptions {
  /** The Unix socket to make; at most 107 bytes. Whatever lies there is replaced. */
  readonly path?: string;
  /** `advertise` is the name or address by which other machines reach this one. */
  readonly tcp?: { readonly bind: string; readonly port: number; readonly advertise: string };
}

export interface TransportOptions extends HandshakeOptions {
  readonly connection: ConnectionOptions;
  /** How long the other side may take to show that it belongs here. */
  readonly handshakeMs: number;
}

/** Given the other side, says who takes its messages; called once for each connection. */
export type Acceptor = (
  peer: Member,
  purpose: Purpose,
  open: (handlers: ConnectionHandlers) => Connection,
) => void;

/** Sockets whose other side is not known yet. The oldest makes room: who belongs here takes ms. */
const maxStrangers = 256;

const pskIdentity = 'parley';
const tlsSettings = {
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  // The PSK of TLS 1.3 is not offered by Node.
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
} as const;
const tlsKey = (secret: Buffer): Buffer => createHmac('sha256', secret).update('tls').digest();

export class Listener {
  readonly #servers: Server[] = [];
  readonly #strangers = new Map<string, Socket>();
  readonly #options: TransportOptions;
  readonly #accept: Acceptor;
  #addresses: Address[] = [];

  private constructor(options: TransportOptions, accept: Acceptor) {
    this.#options = options;
    this.#accept = accept;
  }

  static async open(
    { path, tcp }: ListenOptions,
    options: TransportOptions,
    accept: Acceptor,
  ): Promise<Listener> {
    const listener = new Listener(options, accept);
    if (path !== undefined) {
      await rm(path, { force: true });
      await listener.#listen(
        createServer((socket) => {
          const stranger = randomUUID();
          listener.#bound(socket, stranger);
          listener.#greet(socket, stranger);
        }),
        { path },
      );
      await chmod(path, 0o600);
      listener.#addresses.push({ path });
    }
    if (tcp !== undefined) {
      const psk = tlsKey(options.secret);
      const server = createTlsServer(
        { ...tlsSettings, pskCallback: () => psk, handshakeTimeout: options.handshakeMs },
        (socket) => listener.#greet(socket, farEnd(socket)),
      );
      // Bounded from its first byte on, not from the end of the TLS handshake.
      server.on('connection', (socket) => listener.#bound(socket, farEnd(socket)));
      await listener.#listen(server, { host: tcp.bind, port: tcp.port });
      const { port } = server.address() as AddressInfo;
      listener.#addresses.push({ host: tcp.advertise, port });
    }
    return listener;
  }

  /** Those by which others reach this process. */
  get addresses(): readonly Address[] {
    return this.#addresses;
  }

  /** Takes no more connections; those that were opened stay. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#strangers.values()) socket.destroy();
  }

  #listen(server: Server, at: { path: string } | { host: string; port: number }): Promise<void> {
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      // A child process would otherwise share what it listens on with all others.
      server.listen({ ...at, exclusive: true }, () => {
        server.off('error', reject);
        server.on('error', () => undefined);
        resolve();
      });
    });
  }

  #bound(socket: Socket, stranger: string): void {
    for (const [key, oldest] of this.#strangers) {
      if (this.#strangers.size < maxStrangers) break;
      oldest.destroy();
      this.#strangers.delete(key);
    }
    this.#strangers.set(stranger, socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#strangers.delete(stranger));
  }

  #greet(socket: Socket, stranger: string): void {
    const timer = setTimeout(() => socket.destroy(), this.#options.handshakeMs);
    socket.once('close', () => clearTimeout(timer));
    const { handlers } = handshake('acceptor', this.#options, 'call', () => frames, {
      onPeer: (peer, purpose) => {
        clearTimeout(timer);
        this.#strangers.delete(stranger);
        this.#accept(
          peer,
          purpose,
          (mine) => new Connection(frames, peer, this.#options.connection, mine),
        );
      },
      onEnd: () => undefined,
    });
    const frames = new FrameSocket(socket, handshakeLimits, handlers);
  }
}

/** The same for a TCP socket and for the TLS socket on top of it. */
const farEnd = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/**
 * Connects to a member at the first of its addresses where it is found.
 * @throws {HandshakeFailed} where it does not belong to this server
 */
export const dial = async (
  member: Member,
  purpose: Purpose,
  options: TransportOptions,
  handlers: ConnectionHandlers,
): Promise<Connection> => {
  let failure: unknown = new Error(`Member ${member.id} has no address`);
  for (const address of member.addresses) {
    try {
      return await dialAddress(address, member, purpose, options, handlers);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
};

const dialAddress = (
  address: Address,
  member: Member,
  purpose: Purpose,
  options: TransportOptions,
  handlers: ConnectionHandlers,
): Promise<Connection> =>
  new Promise((resolve, reject) => {
    const isLocal = 'path' in address;
    const socket = isLocal
      ? netConnect(address)
      : tlsConnect({ ...address, ...tlsClient(options) });
    const timer = setTimeout(
      () => socket.destroy(new HandshakeFailed(`Member ${member.id} does not answer`)),
      options.handshakeMs,
    );
    const { handlers: first, begin } = handshake('dialer', options, purpose, () => frames, {
      onPeer: (peer) => {
        clearTimeout(timer);
        // The path of a socket says nothing on another machine, and a port may be used anew.
        if (peer.id !== member.id) throw new HandshakeFailed(`Found ${peer.id}, not ${member.id}`);
        resolve(new Connection(frames, peer, options.connection, handlers));
      },
      onEnd: (reason) => {
        clearTimeout(timer);
        reject(reason ?? new HandshakeFailed(`Member ${member.id} has hung up`));
      },
    });
    const frames = new FrameSocket(socket, handshakeLimits, first);
    socket.once(isLocal ? 'connect' : 'secureConnect', begin);
  });

const tlsClient = ({ secret }: TransportOptions) => ({
  ...tlsSettings,
  pskCallback: () => ({ psk: tlsKey(secret), identity: pskIdentity }),
  // There are no certificates: the key says who it is.
  checkServerIdentity: () => undefined,
});
