/**
 * The one place requests to other machines leave from: kept-alive connections, a name for the TLS
 * handshake and a `Host` header apart from the address connected to, one address guard, and limits
 * on size and time for every request.
 *
 * An instance has one policy (guard and trust), and its connections are never used under another.
 */
import { setMaxListeners } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import tls, { type SecureContext } from 'node:tls';
import { sharedTurn } from '../turns.ts';
import type { AddressGuard } from './address-guard.ts';
import { ACCEPTED_CODINGS, boundedBody } from './bounded-body.ts';
import {
  failureFrom,
  type OutboundFailure,
  PermanentFailure,
  RetryableFailure,
} from './failures.ts';
import { DnsFailure, type Resolver } from './resolver.ts';
import { type HttpTarget, serverNameIndication } from './target.ts';

export interface OutboundOptions {
  readonly resolver: Resolver;
  readonly guard: AddressGuard;
  readonly trust: SecureContext;
  readonly userAgent: string;
  /** For a new connection, TLS handshake included. */
  readonly connectTimeoutMs?: number;
  /** How long an unused connection is kept. */
  readonly idleTimeoutMs?: number;
  readonly maxConnectionsPerTarget?: number;
  /** Told how every request ended: `ok`, or the failure's reason. */
  readonly observe?: (outcome: string, durationMs: number) => void;
}

export interface OutboundRequest {
  readonly method: string;
  /** With the query, as it goes into the request line. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
  /** Of the decoded response body. */
  readonly maxBytes: number;
  /** For the whole request, from the call to the last byte. */
  readonly timeoutMs: number;
  /** From the call to the response's headers; no sooner than `timeoutMs` by default. */
  readonly headersTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface StreamedResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Decoded and bounded. Must be read to its end or destroyed. Fails with `OutboundFailure`. */
  readonly body: Readable;
}

export interface OutboundResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Takes in a response body while it comes; what it throws ends the request. */
export interface BodySink {
  /** Of the decoded body; no more than the request's `maxBytes` in any case. */
  readonly maxBytes: number;
  /** More comes when what it returns has resolved. */
  push(chunk: Buffer): Promise<void> | undefined;
}

const CONNECT_ATTEMPT_MS = 2000;
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

interface Exchange {
  readonly response: http.IncomingMessage;
  /** To be called once the body has ended, with what went wrong, if anything. */
  readonly finish: (failure?: OutboundFailure) => void;
  /** Types an error that ended the body; the timer's verdict wins over the broken stream's. */
  readonly failureOf: (error: unknown) => OutboundFailure;
}

export class OutboundHttp {
  readonly #options: OutboundOptions;
  readonly #https: https.Agent;
  readonly #http: http.Agent;
  readonly #closing = new AbortController();

  constructor(options: OutboundOptions) {
    this.#options = options;
    // Every request under way listens to it.
    setMaxListeners(0, this.#closing.signal);
    const pooling = {
      keepAlive: true,
      timeout: options.idleTimeoutMs ?? 60_000,
      maxSockets: options.maxConnectionsPerTarget ?? 8,
      maxFreeSockets: options.maxConnectionsPerTarget ?? 8,
      scheduling: 'lifo' as const,
      lookup: guardedLookup(options),
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: CONNECT_ATTEMPT_MS,
    };
    this.#http = new http.Agent(pooling);
    this.#https = new https.Agent({ ...pooling, secureContext: options.trust });
  }

  /**
   * Sends a request and collects the answer, whatever its status. Redirects are answers here.
   * @throws {OutboundFailure}
   */
  async send(target: HttpTarget, request: OutboundRequest): Promise<OutboundResponse> {
    const chunks: Buffer[] = [];
    const { maxBytes } = request;
    const sink = {
      maxBytes,
      push: (chunk: Buffer) => {
        chunks.push(chunk);
        return undefined;
      },
    };
    const head = await this.pour(target, request, () => sink);
    const only = chunks[0];
    const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
    return { ...head, body };
  }

  /**
   * Sends a request and gives the body of the answer, as it comes, to a sink chosen by its status.
   * @throws {OutboundFailure} and whatever the sink throws
   */
  async pour(
    target: HttpTarget,
    request: OutboundRequest,
    sinkFor: (status: number) => BodySink,
  ): Promise<Omit<OutboundResponse, 'body'>> {
    const exchange = await this.#begin(target, request);
    const { response } = exchange;
    const status = response.statusCode ?? 0;
    const sink = sinkFor(status);
    // What the sink refuses is no failure of the network.
    let refusal: { readonly error: unknown } | undefined;
    let waiting: Promise<void> | undefined;
    // What comes too late, or never, is not waited for.
    const closed = new Promise<void>((resolve) => response.once('close', resolve));
    try {
      const maxBytes = Math.min(sink.maxBytes, request.maxBytes);
      for await (const chunk of plainOrBounded(exchange, maxBytes)) {
        try {
          waiting = sink.push(chunk as Buffer);
        } catch (error) {
          refusal = { error };
          throw error;
        }
        if (waiting !== undefined) await Promise.race([waiting, closed]);
        await sharedTurn();
      }
    } catch (error) {
      const failure = exchange.failureOf(error);
      exchange.finish(failure);
      throw refusal === undefined ? failure : refusal.error;
    }
    exchange.finish();
    return { status, headers: response.headers };
  }

  /**
   * Like {@link send}, but answers as soon as the headers are there. The body has until the
   * request's `timeoutMs`.
   * @throws {OutboundFailure}
   */
  async open(target: HttpTarget, request: OutboundRequest): Promise<StreamedResponse> {
    const exchange = await this.#begin(target, request);
    const { response } = exchange;
    const body = boundedBody(response, request.maxBytes, exchange.failureOf);
    body.once('close', () => {
      exchange.finish(body.errored ? exchange.failureOf(body.errored) : undefined);
    });
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  }

  /** Fails what is under way and closes all connections. */
  close(): void {
    this.#closing.abort();
    this.#http.destroy();
    this.#https.destroy();
  }

  async #begin(target: HttpTarget, request: OutboundRequest): Promise<Exchange> {
    const startedMs = performance.now();
    try {
      // An IP literal is connected to without a look-up, so it is judged here.
      if (isIP(target.host) !== 0 && !this.#options.guard(target.host)) throw refused(target.host);
      try {
        return await this.#attempt(target, request, startedMs);
      } catch (error) {
        if (!(error instanceof StaleConnection)) throw error;
        return await this.#attempt(target, request, startedMs);
      }
    } catch (error) {
      const failure =
        error instanceof StaleConnection ? error.failure : failureFrom(error, false, target.host);
      this.#observe(failure, startedMs);
      throw failure;
    }
  }

  #attempt(target: HttpTarget, request: OutboundRequest, startedMs: number): Promise<Exchange> {
    const outgoing = this.#outgoing(target, request);
    // What we decided ourselves; the error of the destroyed socket only follows from it.
    let verdict: OutboundFailure | undefined;
    let connected = false;
    const give = (failure: OutboundFailure) => {
      verdict ??= failure;
      outgoing.destroy(failure);
    };
    const spentMs = performance.now() - startedMs;
    const timers: NodeJS.Timeout[] = [];
    const limit = (timeoutMs: number, makeFailure: () => OutboundFailure) => {
      const timer = setTimeout(() => give(makeFailure()), Math.max(0, timeoutMs - spentMs));
      timers.push(timer);
      return timer;
    };
    const where = `${request.method} ${target.hostHeader}`;
    const late = (what: string) => () => new RetryableFailure('timeout', `${where}: ${what}`);
    limit(request.timeoutMs, late(`no complete answer in ${request.timeoutMs} ms`));
    const headersTimer =
      request.headersTimeoutMs === undefined
        ? undefined
        : limit(request.headersTimeoutMs, late(`no answer in ${request.headersTimeoutMs} ms`));

    const abort = () => give(new RetryableFailure('aborted', `${where}: aborted`));
    const signals = [this.#closing.signal, ...(request.signal ? [request.signal] : [])];
    for (const signal of signals) signal.addEventListener('abort', abort, { once: true });
    const release = () => {
      for (const timer of timers) clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener('abort', abort);
    };
    const finish = (failure?: OutboundFailure) => {
      release();
      if (failure !== undefined) outgoing.destroy();
      this.#observe(failure, startedMs);
    };
    const failureOf = (error: unknown) => verdict ?? failureFrom(error, connected, where);

    outgoing.once('socket', (socket) => {
      if (outgoing.reusedSocket) {
        connected = true;
        return;
      }
      const connectTimeoutMs = this.#options.connectTimeoutMs ?? 10_000;
      const timer = setTimeout(() => {
        give(new RetryableFailure('connect', `${where}: no connection in ${connectTimeoutMs} ms`));
      }, connectTimeoutMs);
      timers.push(timer);
      socket.once(target.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
        connected = true;
        clearTimeout(timer);
      });
    });
    return new Promise((resolve, reject) => {
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        release();
        const failure = failureOf(error);
        // The other end closed an idle connection just as we used it: nothing was processed.
        const stale =
          verdict === undefined && outgoing.reusedSocket && IDEMPOTENT.has(request.method);
        reject(stale ? new StaleConnection(failure) : failure);
      });
      outgoing.once('response', (response) => {
        clearTimeout(headersTimer);
        resolve({ response, finish, failureOf });
      });
      if (signals.some(({ aborted }) => aborted)) abort();
      outgoing.end(request.body);
    });
  }

  #outgoing(target: HttpTarget, request: OutboundRequest): http.ClientRequest {
    const headers: Record<string, string | number> = {
      host: target.hostHeader,
      'user-agent': this.#options.userAgent,
      'accept-encoding': ACCEPTED_CODINGS,
      ...request.headers,
    };
    if (request.body !== undefined) headers['content-length'] = Buffer.byteLength(request.body);
    const { host, port } = target;
    const common = { host, port, method: request.method, path: request.path, headers };
    if (target.protocol === 'http:') return http.request({ ...common, agent: this.#http });
    return https.request({
      ...common,
      agent: this.#https,
      servername: serverNameIndication(target),
      checkServerIdentity: (_host, certificate) =>
        tls.checkServerIdentity(target.certificateName, certificate),
    });
  }

  #observe(failure: OutboundFailure | undefined, startedMs: number): void {
    this.#options.observe?.(failure?.reason ?? 'ok', performance.now() - startedMs);
  }
}

/** A kept-alive connection turned out to be closed; a new one deserves one try. */
class StaleConnection extends Error {
  readonly failure: OutboundFailure;

  constructor(failure: OutboundFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

const refused = (where: string) =>
  new PermanentFailure('address_refused', `${where} is at an address we do not connect to`);

/** Resolves and judges in one step: what passes is exactly what is connected to. */
const guardedLookup =
  ({ resolver, guard }: OutboundOptions): LookupFunction =>
  (hostname, { all, family }, callback) => {
    resolver.addresses(hostname).then(
      (found) => {
        const addresses = found
          .filter(guard)
          .map((address) => ({ address, family: isIP(address) }))
          .filter((one) => family === undefined || family === 0 || one.family === family);
        const first = addresses[0];
        if (first === undefined) callback(refused(hostname), '');
        else if (all) callback(null, addresses);
        else callback(null, first.address, first.family);
      },
      (error: Error) => {
        const failure =
          error instanceof DnsFailure
            ? new RetryableFailure('dns', error.message, { cause: error })
            : error;
        callback(failure, '');
      },
    );
  };

/** What announces its length need not be counted. */
const plainOrBounded = ({ response, failureOf }: Exchange, maxBytes: number): Readable => {
  const isPlain =
    response.headers['content-encoding'] === undefined &&
    Number(response.headers['content-length'] ?? Number.POSITIVE_INFINITY) <= maxBytes;
  return isPlain ? response : boundedBody(response, maxBytes, failureOf);
};
