/**
 * The listeners: opening them, and closing them without dropping a request that is under way.
 */
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { BodyBudget, type BodyBudgetLimits } from './body-budget.ts';
import { addressRanges, clientAddress } from './client-address.ts';
import {
  CONNECTION_LIMITS,
  ConnectionCounter,
  type ConnectionLimits,
  timeouts,
} from './connections.ts';
import { httpMetrics } from './http-metrics.ts';
import { type ErrorTranslation, koaApp, type RouteSet } from './koa-app.ts';
import type { RateLimits } from './rate-limits.ts';
import { type UnreadAnswerLimits, UnreadAnswers } from './unread-answers.ts';

export type { RouteSet } from './koa-app.ts';

export interface Listener {
  /** 0 for any free port. */
  readonly port: number;
  readonly bind: string;
  /** PEM texts. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** The names of the route sets to serve. */
  readonly resources: readonly string[];
}

export interface HttpServerOptions {
  readonly listeners: readonly Listener[];
  readonly resources: Readonly<Record<string, RouteSet>>;
  readonly logger: Logger;
  /** Where request metrics are registered; none are kept without. */
  readonly metrics?: Registry;
  /** No limits without. */
  readonly rateLimits?: RateLimits;
  /** Addresses or CIDR ranges whose `X-Forwarded-For` is believed. */
  readonly trustedProxies?: readonly string[];
  readonly maxBodyBytes?: number;
  readonly bodyBudget?: BodyBudgetLimits;
  readonly unreadAnswers?: UnreadAnswerLimits;
  readonly connections?: ConnectionLimits;
  readonly translateError?: ErrorTranslation;
  /** Fails a request whose answer does not match its schema: for tests and development. */
  readonly checkResponses?: boolean;
  /** See `RouteEnvironment.caughtUp`. */
  readonly caughtUp?: () => Promise<void> | undefined;
}

export interface HttpServer {
  /** Opens every listener, in order; rejects with the system's error when one cannot be. */
  start(): Promise<void>;
  /** The address of each listener, in order; known once started. */
  addresses(): AddressInfo[];
  /** Aborted when stopping begins. */
  readonly draining: AbortSignal;
  /** The first half of stopping: long polls return, and each answer is the last on its connection. */
  drain(): void;
  /**
   * Accepts nothing new, tells long polls to return, lets requests finish for at most `graceMs`,
   * then cuts what is left.
   */
  stop(options: { graceMs: number }): Promise<void>;
}

export const DEFAULT_MAX_BODY_BYTES = 1_048_576;

const NOT_HTTP = ['400 Bad Request', 'The request is not valid HTTP'] as const;
const PROBLEMS: Readonly<Record<string, readonly [status: string, problem: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'The headers are too large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'The request did not arrive in time'],
};

/** What is not even HTTP has no response object: the answer is written to the socket. */
const answerBadRequest = (error: Error & { code?: string }, socket: Socket): void => {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, problem] = (error.code !== undefined && PROBLEMS[error.code]) || NOT_HTTP;
  const body = `{"errcode":"M_UNKNOWN","error":"${problem}"}`;
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
};

/**
 * Connections made while the event loop was busy, to each listener; the system may allow fewer. After
 * a restart everyone comes back at once, and whoever finds no place here is left to try again.
 */
const MAX_UNACCEPTED = 4_096;

const UNUSED_GRACE_MS = 200;

const listen = (server: Server, { port, bind }: Listener): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: bind, backlog: MAX_UNACCEPTED }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });

/**
 * Connections over which nothing was asked yet: browsers open some ahead of need, and node does not
 * count them among the idle ones it closes.
 */
const unusedConnections = (server: Server, isTls: boolean): Set<Socket> => {
  const unused = new Set<Socket>();
  // Requests over TLS name the inner socket, which is the one to know by.
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    unused.add(socket);
    socket.once('close', () => unused.delete(socket));
  });
  server.on('request', ({ socket }) => unused.delete(socket));
  return unused;
};

/** One at a time between other work, so that the first requests do not wait for all of them. */
const prepareInBackground = (sets: Iterable<RouteSet>, stopped: AbortSignal): void => {
  const waiting = [...sets].flatMap((set) => set.routes);
  const step = () => {
    const next = stopped.aborted ? undefined : waiting.pop();
    if (next === undefined) return;
    next.prepare();
    setImmediate(step).unref();
  };
  setImmediate(step).unref();
};

export const createHttpServer = (options: HttpServerOptions): HttpServer => {
  const drain = new AbortController();
  const metrics = options.metrics && httpMetrics(options.metrics);
  const address = clientAddress(options.trustedProxies ?? [], (peer) =>
    options.logger.warn(
      { peer },
      'requests come with X-Forwarded-For from an address that is not among trusted_proxies: if it ' +
        'is your reverse proxy, all people behind it share the limits of one address',
    ),
  );
  const bodies = new BodyBudget(options.bodyBudget);
  const connections = options.connections ?? CONNECTION_LIMITS;
  const isUncounted = addressRanges(connections.uncountedAddresses);
  const unread = new UnreadAnswers(options.unreadAnswers, isUncounted);
  const counter = new ConnectionCounter(connections, isUncounted);
  const checkResponses = options.checkResponses ?? false;

  const servers = options.listeners.map((listener) => {
    const routeSets = listener.resources.map((name) => {
      const set = options.resources[name];
      if (set === undefined) throw new Error(`a listener names an unknown resource: ${name}`);
      return set;
    });
    const app = koaApp({
      routeSets,
      environment: {
        limits: options.rateLimits,
        maxBodyBytes: options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
        checkResponses,
        caughtUp: options.caughtUp,
      },
      logger: options.logger,
      metrics,
      clientAddress: address,
      draining: drain.signal,
      bodies,
      unread,
      translateError: options.translateError,
    });
    const server: Server =
      listener.tls === undefined
        ? createServer(timeouts(connections), app.callback())
        : createTlsServer({ ...listener.tls, ...timeouts(connections) }, app.callback());
    counter.attach(server);
    server.on('clientError', answerBadRequest);
    return { listener, server, unused: unusedConnections(server, listener.tls !== undefined) };
  });

  const close = (server: Server, unused: Set<Socket>, graceMs: number): Promise<void> =>
    new Promise((resolve) => {
      if (!server.listening) {
        resolve();
        return;
      }
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
      server.close(() => {
        clearTimeout(cut);
        resolve();
      });
      server.closeIdleConnections();
      // Something may be on its way over the newest of them.
      const endUnused = () => {
        for (const socket of unused) socket.destroy();
      };
      setTimeout(endUnused, Math.min(graceMs, UNUSED_GRACE_MS)).unref();
    });

  return {
    start: async () => {
      for (const { listener, server } of servers) await listen(server, listener);
      // Checked responses mean a test or development, where most routes are never called.
      if (!checkResponses) prepareInBackground(Object.values(options.resources), drain.signal);
    },
    addresses: () => servers.map(({ server }) => server.address() as AddressInfo),
    draining: drain.signal,
    drain: () => drain.abort(),
    stop: async ({ graceMs }) => {
      drain.abort();
      await Promise.all(servers.map(({ server, unused }) => close(server, unused, graceMs)));
    },
  };
};
