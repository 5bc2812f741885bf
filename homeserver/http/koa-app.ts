/**
 * One listener's Koa application: observes the request, finds and runs its route, answers what the
 * route gives or throws.
 */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import Koa from 'koa';
import type { Logger } from 'pino';
import { MatrixError, matrixError } from '../../spec/errors.ts';
import { ClientGone } from './body.ts';
import type { BodyBudget } from './body-budget.ts';
import type { ClientAddress } from './client-address.ts';
import type { HttpMetrics } from './http-metrics.ts';
import { RawJson, stringifyWithRaw } from './raw-json.ts';
import { Reply } from './reply.ts';
import { HttpRequest } from './request.ts';
import { dropRestOfBody } from './rest-of-body.ts';
import type { Route, RouteEnvironment } from './route.ts';
import { decodeParameters, RoutingTree } from './routing-tree.ts';
import type { UnreadAnswers } from './unread-answers.ts';

/** A named set of routes that a listener may serve. */
export interface RouteSet {
  readonly routes: readonly Route[];
  /** Whether web pages of any origin may call it. */
  readonly cors: boolean;
}

/** Gives an error that is nobody's mistake, such as a database that is away, its answer. */
export type ErrorTranslation = (error: unknown) => MatrixError | undefined;

export interface AppOptions {
  readonly translateError?: ErrorTranslation | undefined;
  readonly routeSets: readonly RouteSet[];
  readonly environment: RouteEnvironment;
  /** At level `debug`, one line for each request: it costs half as much as the request itself. */
  readonly logger: Logger;
  readonly metrics: HttpMetrics | undefined;
  readonly clientAddress: ClientAddress;
  readonly draining: AbortSignal;
  readonly bodies: BodyBudget;
  readonly unread: UnreadAnswers;
}

interface Served {
  readonly route: Route;
  readonly cors: boolean;
}

interface State {
  request: HttpRequest;
  operation: string;
  /** What the answer was refused with, for the access line. */
  errcode: string | undefined;
  readonly unread: UnreadAnswers;
  /** Names and values by turns, until they are sent. */
  readonly headers: string[];
}

// https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients, with the methods we add.
const CORS_HEADERS = Object.entries({
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS',
  'Access-Control-Allow-Headers': 'X-Requested-With, Content-Type, Authorization',
  'Access-Control-Expose-Headers': 'Retry-After, X-Request-Id',
}).flat();
const PREFLIGHT_MAX_AGE_SECONDS = '86400';

const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
/** JSON is UTF-8 by definition (RFC 8259 §8.1): it has no charset parameter, and some clients trip over one. */
const JSON_TYPE = 'application/json';
/** Nobody is left to answer; the number nginx uses for it in logs. */
const CLIENT_CLOSED_REQUEST = 499;

const processPrefix = randomBytes(5).toString('hex');
let requestCount = 0;

const requestIdOf = (header: string | string[] | undefined): string =>
  typeof header === 'string' && SANE_REQUEST_ID.test(header)
    ? header
    : `${processPrefix}-${(++requestCount).toString(36)}`;

const headersToSend = (ctx: Koa.Context): string[] => {
  const { headers, request } = ctx.state as State;
  // A connection kept alive would hold up the stop.
  if (request.draining.aborted) headers.push('Connection', 'close');
  return headers;
};

/**
 * Sends a JSON answer in one piece. Koa's own response path sets headers one by one, which shows in
 * a small request; node takes the flat list as it is.
 */
const sendJson = (ctx: Koa.Context, status: number, value: unknown): void => {
  const text = value instanceof RawJson ? value.source : stringifyWithRaw(value);
  const bytes = Buffer.byteLength(text);
  const { unread, request } = ctx.state as State;
  if (status === 200) unread.admit(request.ip, bytes, ctx.res);
  const headers = headersToSend(ctx);
  headers.push('Content-Type', JSON_TYPE, 'Content-Length', String(bytes));
  ctx.respond = false;
  if (ctx.res.headersSent || !ctx.writable) return;
  ctx.res.writeHead(status, headers);
  unread.send(ctx.res, text);
};

/** Bytes, streams and empty answers go through Koa. */
const sendRaw = (ctx: Koa.Context, status: number, body: unknown): void => {
  const headers = headersToSend(ctx);
  for (let i = 0; i < headers.length; i += 2)
    ctx.set(headers[i] as string, headers[i + 1] as string);
  ctx.status = status;
  ctx.body = body;
};

const answer = (ctx: Koa.Context, value: unknown): void => {
  if (!(value instanceof Reply)) {
    sendJson(ctx, 200, value);
    return;
  }
  const { headers } = ctx.state as State;
  for (const [name, text] of Object.entries(value.headers)) headers.push(name, text);
  if (value.raw) sendRaw(ctx, value.status, value.body);
  else sendJson(ctx, value.status, value.body);
};

const answerError = (ctx: Koa.Context, error: MatrixError): void => {
  const retryAfterMs = error.fields['retry_after_ms'];
  if (typeof retryAfterMs === 'number') {
    const { headers } = ctx.state as State;
    headers.push('Retry-After', String(Math.ceil(retryAfterMs / 1_000)));
  }
  sendJson(ctx, error.status, error.toJSON());
};

const answerFailure = (
  ctx: Koa.Context,
  state: State,
  thrown: unknown,
  translate: ErrorTranslation | undefined,
): void => {
  const error = translate?.(thrown) ?? thrown;
  if (error !== thrown) {
    state.request.log.warn({ err: thrown, operation: state.operation }, 'request not served now');
  }
  if (error instanceof MatrixError) {
    state.errcode = error.errcode;
    answerError(ctx, error);
  } else if (error instanceof ClientGone || (error as Error)?.name === 'AbortError') {
    // Work cut short because its client left: nobody reads an answer, and nothing is wrong.
    ctx.respond = false;
    ctx.res.destroy();
  } else {
    state.errcode = 'M_UNKNOWN';
    state.request.log.error({ err: error, operation: state.operation }, 'request failed');
    answerError(ctx, matrixError('M_UNKNOWN', 'Internal server error'));
  }
};

export const koaApp = (options: AppOptions): Koa => {
  const { environment, metrics, draining, logger, bodies, unread } = options;
  const tree = new RoutingTree<Served>();
  for (const { routes, cors } of options.routeSets) {
    for (const route of routes) {
      for (const path of route.paths) tree.add(route.method, path, { route, cors });
    }
  }
  const anyCors = options.routeSets.some(({ cors }) => cors);
  const accessLog = logger.isLevelEnabled('debug');

  /** Finds the route and runs it. */
  const serve = async (ctx: Koa.Context, state: State): Promise<void> => {
    const { request } = state;
    const match = tree.find(request.method, request.path);
    const cors = match.kind === 'unknown' ? anyCors : match.value.cors;
    if (cors) state.headers.push(...CORS_HEADERS);
    environment.limits?.takeForIp('ip', request.ip);
    unread.require(request.ip);
    if (match.kind === 'found') {
      const { route } = match.value;
      state.operation = route.operationId;
      const params = decodeParameters(match.names, match.values);
      answer(ctx, await route.run(request, params, environment));
      return;
    }
    if (match.kind === 'wrong-method') {
      state.headers.push('Allow', [...match.allowed, 'OPTIONS'].join(', '));
    }
    if (request.method === 'OPTIONS' && (cors || match.kind === 'wrong-method')) {
      if (cors) state.headers.push('Access-Control-Max-Age', PREFLIGHT_MAX_AGE_SECONDS);
      sendRaw(ctx, 204, null);
      return;
    }
    throw match.kind === 'unknown'
      ? matrixError('M_UNRECOGNIZED', 'Unrecognized request')
      : matrixError(
          'M_UNRECOGNIZED',
          `${request.method} is not a method of this endpoint`,
          {},
          { status: 405 },
        );
  };

  /** After the last byte of the answer, or when the connection ended before it. */
  const closed = (
    { req, res }: Koa.Context,
    { request, operation, errcode }: State,
    startedMs: number,
  ) => {
    dropRestOfBody(req);
    const sent = res.writableFinished;
    if (!sent) request.clientLeft();
    const status = sent ? res.statusCode : CLIENT_CLOSED_REQUEST;
    const durationMs = performance.now() - startedMs;
    metrics?.finished(operation, status, durationMs);
    if (!accessLog) return;
    const { requestId, method, path, ip } = request;
    const rounded = Math.round(durationMs * 10) / 10;
    logger.debug(
      // The path without the query: it may hold an access token.
      { requestId, operation, method, path, status, errcode, durationMs: rounded, ip },
      'request',
    );
  };

  const app = new Koa();
  // Everything is answered and logged below; what is left are sockets that broke while sending.
  app.silent = true;

  app.use(async (ctx) => {
    const startedMs = performance.now();
    const requestId = requestIdOf(ctx.req.headers['x-request-id']);
    const ip = options.clientAddress(ctx.req);
    const request = new HttpRequest({ incoming: ctx.req, ip, requestId, logger, draining, bodies });
    const headers = ['X-Request-Id', requestId];
    const state: State = { request, operation: 'unknown', errcode: undefined, unread, headers };
    ctx.state = state;
    metrics?.started();
    ctx.res.once('close', () => closed(ctx, state, startedMs));
    try {
      await serve(ctx, state);
    } catch (error) {
      answerFailure(ctx, state, error, options.translateError);
    } finally {
      request.finished();
    }
  });
  return app;
};
