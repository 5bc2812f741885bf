/**
 * Whether this process is alive, and whether it should be sent requests. A live process that is not
 * ready (its database is away, or it is stopping) wants patience, not a restart.
 */
import type { Database } from '../storage/database.ts';

export interface HealthSources {
  readonly database: Database;
  readonly log: { readonly isOpen: boolean };
  /** Where the server is several processes. */
  readonly cluster?: { readonly seekingMs: number } | undefined;
  /** Aborted when the server begins to stop. */
  readonly draining: AbortSignal;
}

export interface Readiness {
  readonly ready: boolean;
  /** `ok`, or what is wrong, by part. */
  readonly parts: { readonly database: string; readonly server: string };
}

/** A process that seeks the leader for longer is cut off: others may not be. */
const maxSeekingMs = 2_000;
/** A probe that hangs is as bad as one that fails. */
const databaseTimeoutMs = 2_000;

const databaseState = async (database: Database): Promise<string> => {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('does not answer'), databaseTimeoutMs);
  });
  const answer = database.query({ text: 'SELECT 1' }).then(
    () => 'ok',
    () => 'away',
  );
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
};

const serverState = ({ draining, cluster }: HealthSources): string => {
  if (draining.aborted) return 'stopping';
  return (cluster?.seekingMs ?? 0) > maxSeekingMs ? 'seeks the leader' : 'ok';
};

/** The schema needs no look: a server whose migrations failed does not start. */
export const checkReadiness = async (sources: HealthSources): Promise<Readiness> => {
  const server = serverState(sources);
  const answer = await databaseState(sources.database);
  // One that seeks the leader may find it sooner than a probe comes again.
  const isClosed = !sources.log.isOpen && (sources.cluster?.seekingMs ?? 0) === 0;
  const database = answer === 'ok' && isClosed ? 'cannot be written' : answer;
  return { ready: server === 'ok' && database === 'ok', parts: { database, server } };
};
