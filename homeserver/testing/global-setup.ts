/** Before all tests: one PostgreSQL for the whole run, in a temporary folder of its own. */
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../ops/logger.ts';
import { EmbeddedPostgres } from '../storage/embedded-postgres.ts';
import { type RunningTestServer, testServerVariable } from './test-server.ts';

declare global {
  var parleyTestServer: RunningTestServer | undefined;
}

const globalSetup = async (): Promise<void> => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'parley-test-'));
  await chmod(dataFolder, 0o711);
  const server = await EmbeddedPostgres.start({
    dataFolder,
    logger: silentLogger,
    maxConnections: 200,
    durable: false,
  });
  globalThis.parleyTestServer = { server, dataFolder };
  process.env[testServerVariable] = JSON.stringify(server.address);
};

export default globalSetup;
