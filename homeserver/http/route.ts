/**
 * Declaring a route. The order of what happens to a request is fixed here: authentication, the keyed
 * limit, path, query, body, the handler, and in tests and development a check of the response. (The
 * limit on an address comes before all of it, in the server.)
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Logger } from 'pino';
import type { Static, TObject, TSchema } from 'typebox';
import { matrixError } from '../../spec/errors.ts';
import { DEFAULT_MAX_BODY_VALUES, type JsonTrust } from './body.ts';
import { type QueryPlan, queryPlan, readQuery } from './query.ts';
import type { RateLimitName } from './rate-limit-names.ts';
import { addressKey, type RateLimits, type RateLimitUse } from './rate-limits.ts';
import { stringifyWithRaw } from './raw-json.ts';
import { Reply } from './reply.ts';
import type { HttpRequest } from './request.ts';
import { parameterNames } from './routing-tree.ts';
import { describeErrors, validate, validatorOf } from './validation.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';

/** A way to tell who asks. `authenticate` throws a Matrix error for anyone it does not accept. */
export interface Auth<T> {
  /**
   * As in the specification's data: `accessTokenBearer`, `signedRequest`; `undefined` where somebody
   * unknown may ask as well.
   */
  readonly name: string | undefined;
  authenticate(request: HttpRequest): T | Promise<T>;
  /** What else must hold of a requester on this path. Throws a Matrix error where it does not. */
  authorize?(requester: T, params: Readonly<Record<string, string>>): void;
  /** Whose allowance a per-user limit uses; `undefined` exempts. */
  limitKey?(requester: T, ip: string): string | undefined;
}

/** What a handler gets. */
export interface RouteCall<T, P, Q, B> {
  readonly params: P;
  readonly query: Q;
  /** `undefined` where the route declares no body. */
  readonly body: B;
  /** Who asks; `undefined` where the route needs nobody to. */
  readonly requester: T;
  readonly ip: string;
  readonly requestId: string;
  readonly method: string;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Aborted when the server begins to stop: a long poll returns at once with what it has. */
  readonly draining: AbortSignal;
  readonly log: Logger;
  /** By lower-case name. */
  readonly headers: Readonly<IncomingHttpHeaders>;
  /** The request's unread body. Only for routes that declare `streamBody`. */
  readonly stream: IncomingMessage;
}

/** A schema that was not declared infers as this, and its value as `undefined`. */
export type NotDeclared = TSchema & { readonly notDeclared?: never };

type Value<S extends TSchema> = [NotDeclared] extends [S] ? undefined : Static<S>;
type Response<S extends TSchema> = [NotDeclared] extends [S] ? unknown : Static<S> | Reply;

export interface RouteDeclaration<
  T,
  P extends TSchema,
  Q extends TSchema,
  B extends TSchema,
  R extends TSchema,
> {
  /** The specification's operationId; metrics and logs are labelled with it. */
  readonly operationId: string;
  readonly method: Method;
  /** As the specification writes it; several when older prefixes are served too. */
  readonly path: string | readonly string[];
  readonly auth?: Auth<T>;
  readonly rateLimit: RateLimitUse;
  /** For requests that can ask for much at once: what this one takes of the limit besides one. */
  rateCost?(body: Value<B>, bytes: number): number;
  readonly params?: P;
  /** Text becomes integers, booleans and lists as the schema says. */
  readonly query?: Q;
  readonly body?: B;
  readonly response?: R;
  /** Instead of the server's limit. */
  readonly maxBodyBytes?: number;
  /** JSON values in the body, instead of {@link DEFAULT_MAX_BODY_VALUES}. */
  readonly maxBodyValues?: number;
  /** `signed` for bodies that hold events of other servers; see {@link JsonTrust}. */
  readonly jsonTrust?: JsonTrust;
  /**
   * The handler reads no memory of this process: it asks the owner of what it is about, who knows
   * everything that was answered before.
   */
  readonly isOwnersWork?: boolean;
  /** The escape for uploads: the handler reads `stream` itself, under its own limits. */
  readonly streamBody?: boolean;
  handler(call: RouteCall<T, Value<P>, Value<Q>, Value<B>>): Response<R> | Promise<Response<R>>;
}

export interface RouteEnvironment {
  readonly limits: RateLimits | undefined;
  readonly maxBodyBytes: number;
  readonly checkResponses: boolean;
  /**
   * Resolves once memory has whatever any process had answered before; undefined where it has. Asked
   * before the handler of whoever has said who they are.
   */
  readonly caughtUp?: (() => Promise<void> | undefined) | undefined;
}

/** A declaration made ready to serve. */
export interface Route {
  readonly operationId: string;
  readonly method: Method;
  readonly paths: readonly string[];
  readonly authName: string | undefined;
  readonly rateLimit: RateLimitUse;
  /** Whether a path is for some requesters only; see {@link Auth.authorize}. */
  readonly authorizes: boolean;
  /** Compiles the validators ahead of the first request. */
  prepare(): void;
  run(
    request: HttpRequest,
    params: Record<string, string>,
    environment: RouteEnvironment,
  ): Promise<unknown>;
}

class Call implements RouteCall<unknown, unknown, unknown, unknown> {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly requester: unknown;
  readonly #request: HttpRequest;

  constructor(
    request: HttpRequest,
    requester: unknown,
    params: unknown,
    query: unknown,
    body: unknown,
  ) {
    this.#request = request;
    this.requester = requester;
    this.params = params;
    this.query = query;
    this.body = body;
  }

  get ip() {
    return this.#request.ip;
  }
  get requestId() {
    return this.#request.requestId;
  }
  get method() {
    return this.#request.method;
  }
  get signal() {
    return this.#request.signal;
  }
  get draining() {
    return this.#request.draining;
  }
  get log() {
    return this.#request.log;
  }
  get stream() {
    return this.#request.incoming;
  }
  get headers() {
    return this.#request.incoming.headers;
  }
}

const checkPathParameters = (
  operationId: string,
  paths: readonly string[],
  schema: TSchema | undefined,
): void => {
  const { properties = {}, required = [] } = (schema ?? {}) as Partial<TObject>;
  for (const path of paths) {
    const names = parameterNames(path);
    const undeclared = names.filter((name) => !(name in properties));
    const missing = (required as string[]).filter(
      (name) => !names.includes(name) && !('default' in (properties[name] ?? {})),
    );
    if (undeclared.length + missing.length > 0) {
      throw new Error(`${operationId}: ${path} and its params schema name different parameters`);
    }
  }
};

const checkResponse = (operationId: string, schema: TSchema, answer: unknown): void => {
  const value = answer instanceof Reply ? answer.body : answer;
  if (answer instanceof Reply && (answer.raw || answer.status !== 200)) return;
  const check = validatorOf(schema);
  const sent = JSON.parse(stringifyWithRaw(value)) as unknown;
  if (!check(sent)) {
    throw new Error(`${operationId}: ${describeErrors(check.errors ?? [], 'response')}`);
  }
};

/** Types and checks a declaration. Throws when its path and its params schema disagree. */
export const route = <
  T = undefined,
  P extends TSchema = NotDeclared,
  Q extends TSchema = NotDeclared,
  B extends TSchema = NotDeclared,
  R extends TSchema = NotDeclared,
>(
  declaration: RouteDeclaration<T, P, Q, B, R>,
): Route => {
  const { operationId, auth, rateLimit, jsonTrust = 'client', isOwnersWork = false } = declaration;
  const paths = typeof declaration.path === 'string' ? [declaration.path] : declaration.path;
  // The generic parts are erased from here on: schemas say what the values are.
  const schemas = declaration as {
    params?: TSchema;
    query?: TSchema;
    body?: TSchema;
    response?: TSchema;
  };
  const handler = declaration.handler as (call: Call) => unknown;
  const rateCost = declaration.rateCost as ((body: unknown, bytes: number) => number) | undefined;
  const limitName = 'exempt' in rateLimit ? undefined : rateLimit.name;
  const limitPerIp = 'exempt' in rateLimit || rateLimit.scope === 'ip';
  checkPathParameters(operationId, paths, schemas.params);
  const plan: QueryPlan | undefined = schemas.query && queryPlan(schemas.query);

  const readBody = async (request: HttpRequest, schema: TSchema): Promise<unknown> => {
    const check = validatorOf(schema);
    let body: unknown = await request.json();
    if (body === undefined) {
      body = {};
      // A client that sends nothing where nothing is needed means the empty object.
      if (!check(body)) throw matrixError('M_NOT_JSON', 'The request body is empty');
      return body;
    }
    validate(check, body, 'body');
    return body;
  };

  /** Whose allowance of the route's limit this request uses; `undefined`: nobody's. */
  const limitKeyOf = (request: HttpRequest, requester: T): string | undefined =>
    auth === undefined || limitPerIp
      ? addressKey(request.ip)
      : auth.limitKey?.(requester, request.ip);

  return {
    operationId,
    method: declaration.method,
    paths,
    authName: auth?.name,
    rateLimit,
    authorizes: auth?.authorize !== undefined,
    prepare: () => {
      for (const schema of [schemas.params, schemas.query, schemas.body]) {
        if (schema !== undefined) validatorOf(schema);
      }
    },
    run: async (request, params, environment) => {
      request.bodyRules = {
        maxBytes: declaration.maxBodyBytes ?? environment.maxBodyBytes,
        maxValues: declaration.maxBodyValues ?? DEFAULT_MAX_BODY_VALUES,
        trust: jsonTrust,
      };
      const requester = auth === undefined ? undefined : await auth.authenticate(request);
      const { limits } = environment;
      const limitKey =
        limits === undefined || limitName === undefined
          ? undefined
          : limitKeyOf(request, requester as T);
      if (limitKey !== undefined) limits?.take(limitName as RateLimitName, limitKey);
      if (schemas.params !== undefined) validate(validatorOf(schemas.params), params, 'path');
      auth?.authorize?.(requester as T, params);
      let query: Record<string, unknown> | undefined;
      if (plan !== undefined) {
        query = readQuery(request.query, plan);
        validate(validatorOf(schemas.query as TSchema), query, 'query');
      }
      const body =
        schemas.body === undefined || declaration.streamBody === true
          ? undefined
          : await readBody(request, schemas.body);
      if (limitKey !== undefined && rateCost !== undefined) {
        limits?.takeMore(limitName as RateLimitName, limitKey, rateCost(body, request.bodyBytes));
      }
      const behind = auth === undefined || isOwnersWork ? undefined : environment.caughtUp?.();
      if (behind !== undefined) await behind;
      const answer = await handler(new Call(request, requester, params, query, body));
      if (environment.checkResponses && schemas.response !== undefined) {
        checkResponse(operationId, schemas.response, answer);
      }
      return answer;
    },
  };
};
