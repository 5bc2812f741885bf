/**
 * Servers that know only the first version of an endpoint, which answers `[200, {…}]`.
 * That of inviting is still in the specification, those of joining and leaving were once:
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1inviteroomideventid
 * https://spec.matrix.org/v1.2/server-server-api/#put_matrixfederationv1send_joinroomideventid
 */
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import { RefusedByServer } from '../federation-error.ts';
import type { FederationClient, FederationRequest } from '../http-client.ts';
import { BadAnswer } from './candidates.ts';

/** Whether the server says no more than that there is nothing at this path. */
export const isUnknownPath = (error: unknown): boolean =>
  error instanceof RefusedByServer &&
  (error.status === 400 || error.status === 404) &&
  (error.errcode === 'M_UNRECOGNIZED' || error.errcode === 'M_UNKNOWN');

/**
 * The object in the answer of a first version.
 * @throws BadAnswer
 * @throws FederationError
 */
export const requestFirstVersion = async (
  client: FederationClient,
  request: FederationRequest,
): Promise<JsonObject> => {
  const { body } = await client.stream(request);
  const text = Buffer.concat((await body.toArray()) as Buffer[]).toString('utf8');
  const object = secondIn(text);
  if (object === undefined) {
    throw new BadAnswer(`${request.destination} answered with something other than [200, {…}]`);
  }
  return object;
};

const secondIn = (text: string): JsonObject | undefined => {
  let answer: JsonValue;
  try {
    answer = JSON.parse(text) as JsonValue;
  } catch {
    return undefined;
  }
  const second = Array.isArray(answer) ? answer[1] : undefined;
  const isObject = typeof second === 'object' && second !== null && !Array.isArray(second);
  return isObject ? second : undefined;
};

/** Asks at the path of the second version, and where there is nothing, of the first. */
export const requestEitherVersion = async (
  client: FederationClient,
  request: FederationRequest,
  pathOfFirst: string,
): Promise<JsonObject> => {
  const startedMs = performance.now();
  try {
    return await client.request(request);
  } catch (error) {
    if (!isUnknownPath(error)) throw error;
  }
  const leftMs = (request.timeoutMs ?? client.timeoutMs) - (performance.now() - startedMs);
  return requestFirstVersion(client, {
    ...request,
    path: pathOfFirst,
    query: {},
    timeoutMs: Math.max(1, leftMs),
  });
};
