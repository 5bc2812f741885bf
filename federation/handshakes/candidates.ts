/**
 * Trying one server after the other until one helps, and what to tell a person when none did.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
 */
import { ERROR_STATUS, type ErrorCode, MatrixError, matrixError } from '../../spec/errors.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { FederationError, RefusedByServer } from '../federation-error.ts';

/** A server's answer makes no sense; another one's may. */
export class BadAnswer extends Error {
  override readonly name = 'BadAnswer';
}

/**
 * Error codes that say something about the person's request, those that say most first. Anything
 * else is between the servers.
 */
const TELLING: readonly ErrorCode[] = [
  'M_FORBIDDEN',
  'M_INVITE_BLOCKED',
  'M_INCOMPATIBLE_ROOM_VERSION',
  'M_UNSUPPORTED_ROOM_VERSION',
  'M_UNABLE_TO_GRANT_JOIN',
  'M_UNABLE_TO_AUTHORISE_JOIN',
  'M_LIMIT_EXCEEDED',
  'M_NOT_FOUND',
];

/** A room's own servers all say no for the same reason: not every one has to. */
const MAX_REFUSALS = 3;

const isTelling = (code: string): code is ErrorCode =>
  (TELLING as readonly string[]).includes(code);

/**
 * What a person is told of a failure: the other server's own words where they are about the request,
 * otherwise that the server could not help. Bugs are thrown on unchanged.
 */
export const errorForPerson = (error: unknown): MatrixError => {
  if (error instanceof MatrixError) return error;
  if (error instanceof RefusedByServer && isTelling(error.errcode)) {
    const { errcode, error: message, ...fields } = error.body;
    const text = typeof message === 'string' ? message.slice(0, 1000) : 'Refused';
    const version = fields['room_version'];
    return matrixError(
      error.errcode,
      `${error.destination}: ${text}`,
      typeof version === 'string' ? { room_version: version } : {},
      { status: ERROR_STATUS[error.errcode] },
    );
  }
  if (error instanceof FederationError || error instanceof BadAnswer) {
    return matrixError('M_UNKNOWN', error.message, {}, { status: 502 });
  }
  throw error;
};

/** Codes that would have a client take what is between the servers for its own affair. */
const NOT_FOR_PERSONS = /^M_(UNKNOWN|UNAUTHORIZED|UNRECOGNIZED|.*TOKEN|USER_.*|CONSENT_.*)$/;

/**
 * What a person is told of a server's refusal even to prepare what they asked for: its own words,
 * whatever code it uses. Anything else comes out as it went in.
 */
export const refusalForPerson = (error: unknown): unknown => {
  if (!(error instanceof RefusedByServer)) return error;
  const { status, errcode, body, destination } = error;
  const isForPerson =
    status >= 400 &&
    status < 500 &&
    status !== 401 &&
    /^[A-Z][A-Z0-9_.-]{1,99}$/i.test(errcode) &&
    !NOT_FOR_PERSONS.test(errcode);
  if (!isForPerson || isTelling(errcode)) return error;
  const message = typeof body['error'] === 'string' ? body['error'].slice(0, 1000) : 'Refused';
  // The code may be one that this server never uses itself.
  return matrixError(errcode as ErrorCode, `${destination}: ${message}`, {}, { status });
};

/**
 * The first success, asking servers in order. Each is told how much is left of the time for all.
 * @throws MatrixError the most telling of the failures; M_NOT_FOUND when there is nobody to ask
 */
export const firstToHelp = async <T>(
  servers: readonly ServerName[],
  timeoutMs: number,
  ask: (server: ServerName, leftMs: number) => Promise<T>,
): Promise<T> => {
  const deadlineMs = performance.now() + timeoutMs;
  const failures: MatrixError[] = [];
  let refusals = 0;
  for (const server of servers) {
    const leftMs = deadlineMs - performance.now();
    // The first is asked however little time there is: its failure says more than none.
    if (leftMs <= 0 && failures.length > 0) break;
    try {
      return await ask(server, Math.max(1, leftMs));
    } catch (error) {
      const failure = errorForPerson(error);
      failures.push(failure);
      if (failure.errcode === 'M_FORBIDDEN') refusals += 1;
    }
    if (refusals >= MAX_REFUSALS) break;
  }
  for (const code of TELLING) {
    const failure = failures.find(({ errcode }) => errcode === code);
    if (failure !== undefined) throw failure;
  }
  throw (
    failures.find(({ status }) => status < 500) ??
    failures[0] ??
    matrixError('M_NOT_FOUND', 'No server is known that could help')
  );
};
