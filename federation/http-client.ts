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
import type { OutboundHttp, OutboundRequest } from '../homeserver/outbound/outbound-http.ts';
import type { HttpTarget } from '../homeserver/outbound/target.ts';
import { CanonicalJsonError, canonicalJson } from '../spec/canonical-json.ts';
import type { JsonObject } from '../spec/event.ts';
import type { ServerName, UserId } from '../spec/identifiers.ts';
import { JsonTooCostly } from '../spec/json-pieces.ts';
import type { SigningKey } from '../spec/signing.ts';
import { type AnswerBounds, AnswerMemory, AnswerReader } from './answer-reader.ts';
import { authorizationHeader } from './auth/signed-request.ts';
import type { DestinationHealth } from './destinations/destination-health.ts';
import { type Discovery, InvalidServerName } from './discovery/discovery.ts';
import { RefusedByServer, RequestImpossible, ServerUnreachable } from './federation-error.ts';
import { type Purpose, PurposeSlots } from './purposes.ts';
import { NoSlot } from './request-slots.ts';
import { type QueryValue, queryString } from './uri.ts';

/** What a request costs at most is part of it: of an answer without bounds nobody is asked. */
export interface FederationRequest extends AnswerBounds {
  readonly destination: ServerName;
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Encoded already; see `uri`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly body?: JsonObject;
  /** Instead of `body`, when its canonical JSON is at hand. */
  readonly canonicalBody?: string;
  /** From the call to the last byte of the answer; half of it may pass before its turn comes. */
  readonly timeoutMs: number;
  readonly purpose: Purpose;
  /** Who wants to know, where it is a person: each has a share of the requests at one time. */
  readonly requester?: UserId;
  /** Tries even a server that is being left alone: for what a person is waiting for. */
  readonly essential?: boolean;
  /**
   * What an answer that says no means for the server's health: that it is well, which is the usual;
   * a failure, for what must arrive; or that the caller finds out whose fault it is.
   */
  readonly refusal?: 'well' | 'failure' | 'caller_judges';
  /** Only key requests travel unsigned. */
  readonly unsigned?: boolean;
  readonly signal?: AbortSignal;
}

/** JSON; lists that were asked for as text stand in it as `JsonTextList`. */
export type Answer = JsonObject;

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
  /** Of one answer. */
  readonly maxResponseBytes: number;
  readonly maxConcurrentRequests: number;
}

/** What large answers may take while they are read, besides one of any size. */
const LARGE_ANSWERS_BYTES = 24 * 1024 * 1024;

/** Answers by which a server, or the proxy before it, says that it cannot serve anyone now. */
const OVERLOADED = new Set([429, 502, 503, 504]);

export class FederationClient {
  readonly #options: FederationClientOptions;
  readonly #slots: PurposeSlots;
  readonly #memory: AnswerMemory;

  constructor(options: FederationClientOptions) {
    this.#options = options;
    this.#slots = new PurposeSlots(options.maxConcurrentRequests);
    this.#memory = new AnswerMemory(LARGE_ANSWERS_BYTES);
  }

  /** How long a request takes that takes others no special work. */
  get timeoutMs(): number {
    return this.#options.timeoutMs;
  }

  /**
   * The JSON object a server answers with status 200.
   * @throws {FederationError}
   */
  request(request: FederationRequest): Promise<Answer> {
    return this.#ask(request, asObject);
  }

  /**
   * The object in the answer of the first version of an endpoint, `[200, {…}]`.
   * @throws {FederationError}
   */
  requestFirstVersion(request: FederationRequest): Promise<Answer> {
    return this.#ask(request, (answer) =>
      Array.isArray(answer) ? asObject(answer[1]) : undefined,
    );
  }

  async #ask(
    request: FederationRequest,
    understood: (answer: unknown) => Answer | undefined,
  ): Promise<Answer> {
    const { destination } = request;
    const { health, clock } = this.#options;
    const startedMs = clock.nowMs();
    const { status, value } = await this.#exchange(request);
    if (status !== 200) throw this.#refused(request, status, asObject(value), startedMs);
    const answer = understood(value);
    if (answer === undefined) {
      health.failed(destination, startedMs);
      throw new ServerUnreachable(destination, 'answered with something that is not a JSON object');
    }
    health.succeeded(destination);
    return answer;
  }

  #refused(
    { destination, refusal = 'well' }: FederationRequest,
    status: number,
    body: JsonObject | undefined,
    startedMs: number,
  ): RefusedByServer {
    const { health, clock } = this.#options;
    if (refusal === 'failure' || OVERLOADED.has(status)) {
      const askedMs = Number(body?.['retry_after_ms']);
      const notBeforeMs = Number.isFinite(askedMs) ? clock.nowMs() + askedMs : 0;
      health.failed(destination, startedMs, notBeforeMs);
    } else if (refusal === 'well') {
      health.succeeded(destination);
    }
    return new RefusedByServer(destination, status, body ?? {});
  }

  /** Waits for a slot, finds the server and sends; types everything that is not an answer. */
  async #exchange(request: FederationRequest): Promise<{ status: number; value: unknown }> {
    const { destination, requester, timeoutMs, essential = false } = request;
    const { serverName, health, clock, isAllowed } = this.#options;
    if (destination === serverName) {
      throw new RequestImpossible(destination, 'is this server itself');
    }
    if (!isAllowed(destination)) {
      throw new RequestImpossible(destination, 'is not a server we may speak to');
    }
    const deadlineMs = performance.now() + timeoutMs;
    let startedMs = clock.nowMs();
    const wish = {
      destination,
      maxWaitMs: timeoutMs / 2,
      ...(requester !== undefined && { requester }),
    };
    try {
      return await this.#slots.run(this.#purposeOf(request), wish, async () => {
        // Asked only now: it may have stopped answering while this request waited in line.
        if (!essential && health.isLeftAlone(destination)) {
          throw new ServerUnreachable(destination, 'did not answer lately and is left alone');
        }
        startedMs = clock.nowMs();
        const targets = await inTime(
          this.#options.discovery.targetsOf(destination),
          deadlineMs - performance.now(),
        );
        const outgoing = this.#outgoing(request);
        for (const [index, target] of targets.entries()) {
          try {
            const leftMs = Math.max(1, deadlineMs - performance.now());
            return await this.#read(target, { ...outgoing, timeoutMs: leftMs }, request);
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

  async #read(
    target: HttpTarget,
    outgoing: OutboundRequest,
    bounds: AnswerBounds,
  ): Promise<{ status: number; value: unknown }> {
    let reader: AnswerReader | undefined;
    try {
      const { status } = await this.#options.outbound.pour(target, outgoing, (status) => {
        reader = new AnswerReader(this.#memory, status, bounds);
        return reader;
      });
      return { status, value: reader?.value() };
    } finally {
      reader?.close();
    }
  }

  /** Names that anyone may have brought up do not take the place of those that matter here. */
  #purposeOf({ purpose, destination }: FederationRequest): Purpose {
    const isStrange = purpose === 'keys' && !this.#options.health.isKnown(destination);
    return isStrange ? 'strange_keys' : purpose;
  }

  #outgoing(request: FederationRequest): Omit<OutboundRequest, 'timeoutMs'> {
    const { destination, method, body, signal } = request;
    const { serverName: origin, signingKey, maxResponseBytes } = this.#options;
    const path = request.path + queryString(request.query ?? {});
    const canonicalBody =
      request.canonicalBody ?? (body === undefined ? undefined : canonicalJson(body));
    // biome-ignore lint/plugin: the names are ours.
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
      maxBytes: Math.min(request.maxBytes, maxResponseBytes),
      ...(canonicalBody === undefined ? {} : { body: canonicalBody }),
      ...(signal === undefined ? {} : { signal }),
    };
  }

  #failure(destination: ServerName, error: unknown, startedMs: number): unknown {
    const because = { cause: error };
    if (error instanceof InvalidServerName) {
      return new RequestImpossible(destination, error.message, because);
    }
    const isImpossible =
      error instanceof PermanentFailure ||
      error instanceof JsonTooCostly ||
      error instanceof CanonicalJsonError;
    if (isImpossible) {
      return new RequestImpossible(destination, error.message, because);
    }
    if (error instanceof NoSlot) return new ServerUnreachable(destination, error.message, because);
    if (!(error instanceof OutboundFailure)) return error;
    if (error.reason !== 'aborted') this.#options.health.failed(destination, startedMs);
    return new ServerUnreachable(destination, error.message, because);
  }
}

const asObject = (value: unknown): Answer | undefined => {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isObject ? (value as JsonObject) : undefined;
};

/** What finding a server takes counts as well: a name server may be as silent as any other. */
const inTime = async <T>(work: Promise<T>, timeoutMs: number): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new RetryableFailure('timeout', `not found in ${Math.round(timeoutMs)} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
