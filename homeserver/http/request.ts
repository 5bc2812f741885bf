/**
 * A request as authentication and handlers see it: plain values, worked out when first asked for.
 */
import type { IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { JsonValue } from '../../spec/event.ts';
import { sharedTurn } from '../turns.ts';
import {
  type Body,
  type BodyRules,
  type JsonTrust,
  PROMPT_BYTES,
  parseJsonBody,
  readBody,
} from './body.ts';
import type { BodyBudget, BodyCharge } from './body-budget.ts';
import { type ParsedQuery, parseQuery } from './query.ts';

export interface RequestParts {
  readonly incoming: IncomingMessage;
  readonly ip: string;
  readonly requestId: string;
  readonly logger: Logger;
  /** Aborted when the server begins to stop. */
  readonly draining: AbortSignal;
  /** Where the memory of its body is counted. */
  readonly bodies: BodyBudget;
}

export class HttpRequest {
  readonly incoming: IncomingMessage;
  readonly ip: string;
  readonly requestId: string;
  readonly method: string;
  /** Path and query exactly as received: what a signature covers. */
  readonly url: string;
  /** Of the body, once {@link json} has read it. */
  bodyBytes = 0;
  /** Still percent-encoded. */
  readonly path: string;
  /** Aborted when the server begins to stop: a long poll then returns what it has. */
  readonly draining: AbortSignal;
  readonly #queryText: string;
  readonly #logger: Logger;
  readonly #bodies: BodyBudget;
  #bodyRules: BodyRules | undefined;
  #charge: BodyCharge | undefined;
  #body: Promise<Body> | undefined;
  #query: ParsedQuery | undefined;
  #json: Promise<JsonValue | undefined> | undefined;
  #aborter: AbortController | undefined;
  #gone = false;
  #log: Logger | undefined;

  constructor({ incoming, ip, requestId, logger, draining, bodies }: RequestParts) {
    this.#bodies = bodies;
    this.incoming = incoming;
    this.ip = ip;
    this.requestId = requestId;
    this.method = incoming.method as string;
    this.url = incoming.url as string;
    this.draining = draining;
    const mark = this.url.indexOf('?');
    this.path = mark === -1 ? this.url : this.url.slice(0, mark);
    this.#queryText = mark === -1 ? '' : this.url.slice(mark + 1);
    this.#logger = logger;
  }

  /** A header by its lower-case name. */
  header(name: string): string | undefined {
    const value = this.incoming.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** Throws `M_INVALID_PARAM` when the query string is malformed. */
  get query(): ParsedQuery {
    this.#query ??= parseQuery(this.#queryText);
    return this.#query;
  }

  /** Set by the route before anything reads the body. */
  set bodyRules(rules: BodyRules) {
    this.#bodyRules = rules;
  }

  /**
   * The body's bytes, read once however often they are asked for. Nothing of a body is taken from
   * its connection before: authentication that can refuse without it does so first. Throws
   * `M_TOO_LARGE`, `M_BAD_JSON` or `M_LIMIT_EXCEEDED`; see {@link readBody}.
   */
  body(): Promise<Body> {
    const rules = this.#bodyRules;
    if (rules === undefined) throw new Error('the body was asked for before a route was found');
    if (this.#body === undefined) {
      this.#charge = this.#bodies.open(this.ip);
      this.#body = readBody(this.incoming, rules, this.#charge);
    }
    return this.#body;
  }

  /**
   * The JSON body, parsed once; `undefined` when empty. Throws as {@link body}, and `M_NOT_JSON` or
   * `M_BAD_JSON`.
   */
  json(): Promise<JsonValue | undefined> {
    this.#json ??= this.body().then((body) => {
      this.bodyBytes = body.bytes.length;
      const { trust } = this.#bodyRules as BodyRules;
      return body.bytes.length > PROMPT_BYTES
        ? parsedInTurn(body, trust)
        : parseJsonBody(body, trust);
    });
    return this.#json;
  }

  /** Aborted when the client goes away before it has its answer. */
  get signal(): AbortSignal {
    if (this.#aborter === undefined) {
      this.#aborter = new AbortController();
      if (this.#gone) this.#aborter.abort();
    }
    return this.#aborter.signal;
  }

  /** For the server: the handler is done, and the body is nobody's any more. */
  finished(): void {
    this.#charge?.release();
  }

  /** For the server: the connection closed with the answer unsent. */
  clientLeft(): void {
    this.#gone = true;
    this.#aborter?.abort();
  }

  /** A logger whose every line carries the request id. */
  get log(): Logger {
    this.#log ??= this.#logger.child({ requestId: this.requestId });
    return this.#log;
  }
}

const parsedInTurn = async (body: Body, trust: JsonTrust): Promise<JsonValue | undefined> => {
  await sharedTurn();
  const json = parseJsonBody(body, trust);
  // What is made of it is work as well.
  await sharedTurn();
  return json;
};
