/** What the set-up of a test run hands to its teardown and to the test files. */
import type { EmbeddedPostgres } from '../storage/embedded-postgres.ts';

/** Environment variable by which test files, in processes of their own, find the server. */
export const testServerVariable = 'PARLEY_TEST_POSTGRES';

export interface RunningTestServer {
  readonly server: EmbeddedPostgres;
  readonly dataFolder: string;
}
