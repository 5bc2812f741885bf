/** Which failures of a statement are the database's and not the statement's. */

/** Codes of failures to reach the server, and of sessions the server itself cut. */
const unreachable = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT']);

/**
 * Classes 08 (connection) and 57 (operator intervention: cut off, cancelled, out of time); a lock that
 * was not to be had; a server that has become a standby.
 */
const passing = /^(08|57|55P03|25006)/;

/** What pg says, without a code, when a connection ends under it or none comes. */
const lostMessage =
  /^(Connection terminated|timeout exceeded when trying|Client has encountered a connection error|Client was closed|Query read timeout)/;

const codeOf = (error: unknown): string =>
  String((error as { code?: unknown } | undefined)?.code ?? '');

/**
 * Whether a failed statement may succeed unchanged once the database is back: it is away, starting,
 * stopping, too slow, or cut us off. A transaction that failed so may or may not have been committed.
 */
export const isDatabaseAway = (error: unknown): boolean => {
  const code = codeOf(error);
  if (code !== '') return unreachable.has(code) || passing.test(code);
  return lostMessage.test((error as { message?: string } | undefined)?.message ?? '');
};

/** Whether a statement failed because the database's disk is full. */
export const isDatabaseFull = (error: unknown): boolean => codeOf(error) === '53100';
