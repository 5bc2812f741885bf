/** The system's errors that an operator can mend, in words. */
import { StartFailure } from './start-failure.ts';

interface SystemError extends Error {
  readonly code?: string;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  readonly path?: string;
}

const explainListen = (error: SystemError): StartFailure | undefined => {
  const where = `port ${error.port} on ${error.address}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartFailure(
        'unavailable',
        `Another program has taken ${where}. Stop it, or set another port in listeners ` +
          '("ss -ltnp" or "lsof -i" names the program).',
        { cause: error },
      );
    case 'EACCES':
      return new StartFailure(
        'permission',
        `This user may not open ${where}: ports below 1024 are reserved. Set a higher port in ` +
          'listeners and let a reverse proxy listen on the low one.',
        { cause: error },
      );
    case 'EADDRNOTAVAIL':
      return new StartFailure(
        'config',
        `This machine has no address ${error.address}, which listeners names for port ` +
          `${error.port}. Set an address it has, or "0.0.0.0" and "::" for all.`,
        { cause: error },
      );
    default:
      return undefined;
  }
};

/** `undefined` for whatever is not the operator's to mend: a bug. */
export const explainFailure = (error: unknown): StartFailure | undefined => {
  if (error instanceof StartFailure) return error;
  if (typeof error !== 'object' || error === null) return undefined;
  const system = error as SystemError;
  if (system.syscall === 'listen') return explainListen(system);
  if (system.code === 'ENOSPC' || system.code === 'EDQUOT' || system.code === '53100') {
    return new StartFailure(
      'disk',
      `The disk is full (${system.message}). Nothing was damaged. Free some space and start again.`,
      { cause: error },
    );
  }
  return undefined;
};
