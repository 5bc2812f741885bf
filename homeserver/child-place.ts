/** What a child process knows of its parent, and tells it; `child-processes.ts` is the other side. */
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { childVariable } from './config/environment.ts';
import type { RunningServer } from './ops/running-server.ts';
import type { StartFailureKind } from './ops/start-failure.ts';

/** What a child is told of its place. */
export interface ChildPlace {
  /** Counts from 1; a child that takes a dead one's place has its number. */
  readonly number: number;
  /** Its socket for the other processes of this machine; all of them are in one folder. */
  readonly socket: string;
}

export type ServedAddress = Pick<RunningServer, 'baseUrl' | 'registrationToken'>;

export type ChildMessage =
  /** It serves, or never will. */
  | { readonly running: ServedAddress }
  | { readonly failure: { readonly message: string; readonly kind: StartFailureKind } }
  /** Whether it leads the log from now on. */
  | { readonly leads: boolean };

/** Undefined in a process that somebody else has started. */
export const childPlace = (env: NodeJS.ProcessEnv = process.env): ChildPlace | undefined => {
  const text = env[childVariable];
  return text === undefined ? undefined : (JSON.parse(text) as ChildPlace);
};

/** Says nothing where there is no parent, or none any more. */
export const tellParent = (message: ChildMessage): void => {
  process.send?.(message, undefined, undefined, () => undefined);
};

/** For node's own way out. */
const endMs = 1_000;

/**
 * A child ends when its parent does: node sees to that, and this where it fails because nobody reads
 * the logs any more. Whoever is left clears away what the parent would have.
 */
export const endWithParent = ({ socket }: ChildPlace): void => {
  process.prependOnceListener('disconnect', () => {
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), endMs);
    rmSync(dirname(socket), { recursive: true, force: true });
  });
};
