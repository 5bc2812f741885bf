/** Stops the shared servers after the last test file; one that does not stop fails the run. */

import { startedServers } from './world-setup.ts';

export default async function stopWorld(): Promise<void> {
  await Promise.all(startedServers.map((server) => server.destroy()));
}
