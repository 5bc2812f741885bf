/**
 * Servers that know only the first version of an endpoint, which answers `[200, {…}]`.
 * That of inviting is still in the specification, those of joining and leaving were once:
 * https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1inviteroomideventid
 * https://spec.matrix.org/v1.2/server-server-api/#put_matrixfederationv1send_joinroomideventid
 */
import { RefusedByServer } from '../federation-error.ts';
import type { Answer, FederationClient, FederationRequest } from '../http-client.ts';

/** Whether the server says no more than that there is nothing at this path. */
export const isUnknownPath = (error: unknown): boolean =>
  error instanceof RefusedByServer &&
  (error.status === 400 || error.status === 404) &&
  (error.errcode === 'M_UNRECOGNIZED' || error.errcode === 'M_UNKNOWN');

/** Asks at the path of the second version, and where there is nothing, of the first. */
export const requestEitherVersion = async (
  client: FederationClient,
  request: FederationRequest,
  pathOfFirst: string,
): Promise<Answer> => {
  const startedMs = performance.now();
  try {
    return await client.request(request);
  } catch (error) {
    if (!isUnknownPath(error)) throw error;
  }
  const leftMs = request.timeoutMs - (performance.now() - startedMs);
  return client.requestFirstVersion({
    ...request,
    path: pathOfFirst,
    query: {},
    timeoutMs: Math.max(1, leftMs),
  });
};
