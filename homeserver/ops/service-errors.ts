/** What clients and servers are told when the database cannot serve: try again, nothing was lost. */
import { type MatrixError, matrixError } from '../../spec/errors.ts';
import { isDatabaseAway, isDatabaseFull } from '../storage/connection.ts';
import { LogWriteFailed } from '../streams/log.ts';

export const serviceError = (error: unknown): MatrixError | undefined => {
  const cause = error instanceof LogWriteFailed ? error.cause : error;
  if (isDatabaseFull(cause)) {
    return matrixError(
      'M_UNKNOWN',
      'The server has no room left to store this',
      {},
      { status: 507 },
    );
  }
  if (error instanceof LogWriteFailed || isDatabaseAway(error)) {
    return matrixError(
      'M_UNKNOWN',
      'The server cannot do this just now; try again',
      {},
      {
        status: 503,
      },
    );
  }
  return undefined;
};
