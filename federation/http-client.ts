/**
 * Requests to other servers: finds the server, signs, sends within bounds, and keeps the record of
 * who answers and who does not.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#api-standards
 */
import type { Clock } from '../homeserver/clock.ts';
import {
  OutboundFailure,
  PermanentFailure,
  RetryableFailure,
} from '../homeserver/outbound/failures.ts';
import type {
  OutboundHttp,
  OutboundRequest,
  OutboundResponse,
  StreamedResponse,
} from '../homeserver/outbound/outbound-http.ts';
import type { HttpTarget } from '../homeserver/outbound/target.ts';
import { canonicalJson } from '../spec/canonical-json.ts';
import type { JsonObject } from '../spec/event.ts';
import type { ServerName } from '../spec/identifiers.ts';
import type { SigningKey } from '../spec/signing.ts';
import { authorizationHeader } from './auth/signed-request.ts';
import type { DestinationHealth } from './destinations/destination-health.ts';
import { type Discovery, InvalidServerName } from './discovery/discovery.ts';
import { RefusedByServer, RequestImpossible, ServerUnreachable } from './federation-error.ts';
import { NoSlot, RequestSlots } from './request-slots.ts';
import { type QueryValue, queryString } from './uri.ts';

export interface FederationRequest {
  readonly destination: ServerName;
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Encoded already; see `uri`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly body?: JsonObject;
  /** Instead of `body`, when its canonical JSON is at hand. */
  readonly canonicalBody?: string;
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
  /** Tries even a server that is being left alone: for what a person is waiting for. */
  readonly essential?: boolean;
  /** Counts any answer but status 200 against the server: for transactions, which must arrive. */
  readonly mustSucceed?: boolean;
  /** Only key requests travel unsigned. */
  readonly unsigned?: boolean;
  readonly signal?: AbortSignal;
}

export interface FederationClientOptions {
  readonly serverName: ServerName;
  readonly signingKey: () => SigningKey;
  readonly outbound: OutboundHttp;
  readonly discovery: Discovery;
  readonly health: DestinationHealth;
  readonly clock: Clock;
  /** Whether the operator lets us speak to this server. */
  readonly isAllowed: (serverName: ServerName) => boolean;
  readonly timeoutMs: number;
  readonly maxResponseBytes: number;
  readonly maxConcurrentRequests: number;
}

const MAX_CONCURRENT_PER_SERVER = 8;
const MAX_WAITING_PER_SERVER = 200;
/** Answers by which a server, or the proxy before it, says that it cannot serve anyone now. */
const OVERLOADED = new Set([429, 502, 503, 504]);

export class FederationClient {
  readonly #options: FederationClientOptions;
  readonly #slots: RequestSlots;

  constructor(options: FederationClientOptions) {
    this.#options = options;
    this.#slots = new RequestSlots({
      maxRunning: options.maxConcurrentRequests,
      maxRunningPerKey: MAX_CONCURRENT_PER_SERVER,
      maxWaitingPerKey: MAX_WAITING_PER_SERVER,
    });
  }

  /** How long a request takes at most that does not say otherwise. */
  get timeoutMs(): number {
    return this.#options.timeoutMs;
  }

  /**
   * The JSON object a server answers with status 200.
   * @throws {FederationError}
   */
  async request(request: FederationRequest): Promise<JsonObject> {
    const { destination } = request;
    const { health, clock } = this.#options;
    const startedMs = clock.nowMs();
    const response = await this.#exchange(request, (target, outgoing) =>
      this.#options.outbound.send(target, outgoing),
    );
    const body = jsonObjectIn(response);
    if (response.status !== 200) throw this.#refused(request, response.status, body, startedMs);
    if (body === undefined) {
      health.failed(destination, startedMs);
      throw new ServerUnreachable(destination, 'answered with something that is not a JSON object');
    }
    health.succeeded(destination);
    return body;
  }

  /**
   * An answer with status 200 whose body is not JSON, as a stream to be read or destroyed.
   * @throws {FederationError} also `OutboundFailure` from the stream itself
   */
  async stream(request: FederationRequest): Promise<StreamedResponse> {
    const startedMs = this.#options.clock.nowMs();
    const response = await this.#exchange(request, (target, outgoing) =>
      this.#options.outbound.open(target, outgoing),
    );
    if (response.status !== 200) {
      response.body.destroy();
      throw this.#refused(request, response.status, undefined, startedMs);
    }
    this.#options.health.succeeded(request.destination);
    return response;
  }

  #refused(
    { destination, mustSucceed = false }: FederationRequest,
    status: number,
    body: JsonObject | undefined,
    startedMs: number,
  ): RefusedByServer {
    const { health, clock } = this.#options;
    if (mustSucceed || OVERLOADED.has(status)) {
      const askedMs = Number(body?.['retry_after_ms']);
      const notBeforeMs = Number.isFinite(askedMs) ? clock.nowMs() + askedMs : 0;
      health.failed(destination, startedMs, notBeforeMs);
    } else {
      health.succeeded(destination);
    }
    return new RefusedByServer(destination, status, body ?? {});
  }

  /** Waits for a slot, finds the server and sends; types everything that is not an answer. */
  async #exchange<T>(
    request: FederationRequest,
    send: (target: HttpTarget, outgoing: OutboundRequest) => Promise<T>,
  ): Promise<T> {
    const { destination, essential = false } = request;
    const { serverName, health, clock, isAllowed } = this.#options;
    if (destination === serverName) {
      throw new RequestImpossible(destination, 'is this server itself');
    }
    if (!isAllowed(destination)) {
      throw new RequestImpossible(destination, 'is not a server we may speak to');
    }
    const timeoutMs = request.timeoutMs ?? this.#options.timeoutMs;
    const deadlineMs = performance.now() + timeoutMs;
    let startedMs = clock.nowMs();
    try {
      return await this.#slots.run(destination, async () => {
        // Asked only now: it may have stopped answering while this request waited in line.
        if (!essential && health.isLeftAlone(destination)) {
          throw new ServerUnreachable(destination, 'did not answer lately and is left alone');
        }
        startedMs = clock.nowMs();
        const outgoing = this.#outgoing(request);
        const targets = await this.#options.discovery.targetsOf(destination);
        for (const [index, target] of targets.entries()) {
          try {
            const leftMs = Math.max(1, deadlineMs - performance.now());
            return await send(target, { ...outgoing, timeoutMs: leftMs });
          } catch (error) {
            const mayTryNext = error instanceof RetryableFailure && error.nothingSent;
            if (!mayTryNext || index === targets.length - 1) throw error;
          }
        }
        throw new Error('discovery found no target');
      });
    } catch (error) {
      throw this.#failure(destination, error, startedMs);
    }
  }

  #outgoing(request: FederationRequest): Omit<OutboundRequest, 'timeoutMs'> {
    const { destination, method, body, signal } = request;
    const { serverName: origin, signingKey, maxResponseBytes } = this.#options;
    const path = request.path + queryString(request.query ?? {});
    const canonicalBody =
      request.canonicalBody ?? (body === undefined ? undefined : canonicalJson(body));
    const headers: Record<string, string> = {};
    if (request.unsigned !== true) {
      headers['authorization'] = authorizationHeader(
        { origin, destination, method, uri: path, canonicalBody },
        signingKey(),
      );
    }
    if (canonicalBody !== undefined) headers['content-type'] = 'application/json';
    return {
      method,
      path,
      headers,
      maxBytes: request.maxBytes ?? maxResponseBytes,
      ...(canonicalBody === undefined ? {} : { body: canonicalBody }),
      ...(signal === undefined ? {} : { signal }),
    };
  }

  #failure(destination: ServerName, error: unknown, startedMs: number): unknown {
    const because = { cause: error };
    if (error instanceof InvalidServerName) {
      return new RequestImpossible(destination, error.message, because);
    }
    if (error instanceof PermanentFailure) {
      return new RequestImpossible(destination, error.message, because);
    }
    if (error instanceof NoSlot) return new ServerUnreachable(destination, error.message, because);
    if (!(error instanceof OutboundFailure)) return error;
    if (error.reason !== 'aborted') this.#options.health.failed(destination, startedMs);
    return new ServerUnreachable(destination, error.message, because);
  }
}

const jsonObjectIn = ({ body }: OutboundResponse): JsonObject | undefined => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
  return isObject ? (parsed as JsonObject) : undefined;
};
