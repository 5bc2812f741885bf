/** What the process that starts the shared servers tells the test processes. */

import type { Certificate } from './authority.ts';
import type { ServerAddress } from './server.ts';

export const SHARED_SERVERS = ['alpha', 'beta', 'gamma'] as const;

export interface SharedWorld {
  readonly authority: Certificate;
  readonly servers: Readonly<Record<(typeof SHARED_SERVERS)[number], ServerAddress>>;
}

/** The environment variable that carries it, as JSON. */
export const WORLD_VARIABLE = 'PARLEY_SUITE_WORLD';
