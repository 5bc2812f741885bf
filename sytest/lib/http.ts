/**
 * One request to a server under test. Every answer passes the specification's
 * schemas on its way to the test, so a wrong shape fails whatever the test is about.
 */

import { violations } from './conformance.ts';

/**
 * A JSON body as a test reads it.
 */
// biome-ignore lint/suspicious/noExplicitAny: a body is whatever the server sent; its shape is checked against the schemas at run time
export type Body = any;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** `undefined` if the answer was not JSON. */
  readonly body: Body;
  readonly text: string;
}

export interface RequestOptions {
  readonly token?: string | undefined;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly rawBody?: string | Uint8Array | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly timeoutMs?: number | undefined;
}

/** A refused request. */
export class Refusal extends Error {
  readonly status: number;
  readonly errcode: string;
  readonly body: Body;

  constructor(method: string, path: string, answer: Answer) {
    const { errcode = '(no errcode)', error = answer.text.slice(0, 200) } = answer.body ?? {};
    super(`${method} ${path}: ${answer.status} ${errcode}: ${error}`);
    this.name = 'Refusal';
    this.status = answer.status;
    this.errcode = errcode;
    this.body = answer.body;
  }
}

/** Against another implementation, departures from the schemas are its own affair. */
const judges = process.env['PARLEY_SUITE_TARGET'] !== 'synapse';
const takenAsTheyAre = new Set<string>();

/** The server with this base URL is another implementation: its answers are not judged. */
export function takesAnswersAsTheyAre(baseUrl: string): void {
  takenAsTheyAre.add(baseUrl);
}

/** Whatever the answer, unless it breaks the specification: then it throws. */
export async function request(
  baseUrl: string,
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<Answer> {
  const url = new URL(`${baseUrl}${path}`);
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const payload =
    options.rawBody ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    signal: AbortSignal.timeout(options.timeoutMs ?? 60_000),
    headers: {
      ...(payload === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(options.token === undefined ? {} : { Authorization: `Bearer ${options.token}` }),
      ...options.headers,
    },
    ...(payload === undefined ? {} : { body: payload }),
  });
  const text = await response.text();
  const answer: Answer = {
    status: response.status,
    headers: response.headers,
    body: parsed(response, text),
    text,
  };
  const wrong =
    judges && !takenAsTheyAre.has(baseUrl)
      ? violations(method, url.pathname, answer.status, answer.body)
      : [];
  if (wrong.length > 0) throw new Error(`against the specification:\n${wrong.join('\n')}`);
  return answer;
}

function parsed(response: Response, text: string): Body {
  if (!response.headers.get('content-type')?.startsWith('application/json')) return undefined;
  return JSON.parse(text);
}

/** The body of a successful answer; a refused request throws a `Refusal`. */
export async function call(
  baseUrl: string,
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<Body> {
  const answer = await request(baseUrl, method, path, options);
  if (answer.status >= 300) throw new Refusal(method, path, answer);
  return answer.body;
}

/** Expects a refusal with exactly this status and error code, and gives it back. */
export async function refused(
  attempt: Promise<unknown>,
  status: number,
  errcode: string,
): Promise<Refusal> {
  let outcome: unknown;
  try {
    outcome = await attempt;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === status && error.errcode === errcode) return error;
    throw new Error(`expected ${status} ${errcode}, was refused otherwise: ${error.message}`);
  }
  throw new Error(`expected ${status} ${errcode}, but it was done: ${JSON.stringify(outcome)}`);
}
