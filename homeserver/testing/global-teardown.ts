/** After all tests: the PostgreSQL of the run and its folder are gone. */
import { rm } from 'node:fs/promises';

const globalTeardown = async (): Promise<void> => {
  const running = globalThis.parleyTestServer;
  if (running === undefined) return;
  await running.server.stop();
  await rm(running.dataFolder, { recursive: true, force: true });
};

export default globalTeardown;
