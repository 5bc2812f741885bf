/**
 * How many connections there may be, and how long they may take to ask: bounds on those who connect
 * and say nothing, or say it slowly. Connections are counted where they are: in this process.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { plainAddress } from './client-address.ts';
import { addressKey } from './rate-limits.ts';

export interface ConnectionLimits {
  /** To each listener. */
  readonly maxConnections: number;
  /** Of one address (an IPv6 network of 64 bits counts as one). */
  readonly maxConnectionsPerAddress: number;
  /** In which a whole request, its body included, must have arrived. */
  readonly requestTimeoutMs: number;
  /** Addresses and ranges that speak for many others, and may open as many as they like. */
  readonly uncountedAddresses: readonly string[];
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  maxConnections: 20_000,
  maxConnectionsPerAddress: 500,
  requestTimeoutMs: 120_000,
  uncountedAddresses: [],
};

/** Longer than the idle time of usual reverse proxies, so that the proxy closes first. */
const KEEP_ALIVE_MS = 75_000;
const HEADERS_TIMEOUT_MS = 20_000;
/** How often requests that take too long are looked for. */
const CHECK_INTERVAL_MS = 5_000;

/** For `createServer`. */
export const timeouts = ({ requestTimeoutMs }: ConnectionLimits) => ({
  keepAliveTimeout: KEEP_ALIVE_MS,
  headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs),
  requestTimeout: requestTimeoutMs,
  connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, requestTimeoutMs),
});

/** Closes every connection above the limits as soon as it is made. */
export class ConnectionCounter {
  readonly #limits: ConnectionLimits;
  readonly #isUncounted: (address: string) => boolean;
  readonly #byAddress = new Map<string, number>();

  constructor(limits: ConnectionLimits, isUncounted: (address: string) => boolean) {
    this.#limits = limits;
    this.#isUncounted = isUncounted;
  }

  /** Addresses are counted over all servers that it is attached to. */
  attach(server: Server): void {
    server.maxConnections = this.#limits.maxConnections;
    server.on('connection', (socket: Socket) => this.#count(socket));
  }

  #count(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress ?? '');
    if (this.#isUncounted(address)) return;
    const key = addressKey(address);
    const open = (this.#byAddress.get(key) ?? 0) + 1;
    if (open > this.#limits.maxConnectionsPerAddress) {
      socket.destroy();
      return;
    }
    this.#byAddress.set(key, open);
    socket.once('close', () => {
      const left = (this.#byAddress.get(key) ?? 0) - 1;
      if (left > 0) this.#byAddress.set(key, left);
      else this.#byAddress.delete(key);
    });
  }
}
