/** Starts the shared servers before the first test file. */

import { Authority } from './authority.ts';
import { parley } from './parley.ts';
import { Server } from './server.ts';
import { synapse, synapsePython } from './synapse.ts';
import { SHARED_SERVERS, type SharedWorld, WORLD_VARIABLE } from './world-shape.ts';

export const startedServers: Server[] = [];

export default async function startWorld(): Promise<void> {
  const python = synapsePython();
  const target = process.env['PARLEY_SUITE_TARGET'] ?? 'parley';
  if (target === 'synapse' && python === undefined) {
    throw new Error('PARLEY_SUITE_TARGET=synapse needs PARLEY_SYNAPSE_PYTHON');
  }
  const recipe = target === 'synapse' ? synapse(python!) : parley();
  const authority = new Authority();
  startedServers.push(
    ...(await Promise.all(SHARED_SERVERS.map(() => Server.create(recipe, authority)))),
  );
  await Promise.all(startedServers.map((server) => server.start()));
  const addresses = startedServers.map(({ name, clientUrl }) => ({ name, clientUrl }));
  const world: SharedWorld = {
    authority: { certPem: authority.certPem, keyPem: authority.keyPem },
    servers: Object.fromEntries(
      SHARED_SERVERS.map((name, i) => [name, addresses[i]]),
    ) as SharedWorld['servers'],
  };
  process.env[WORLD_VARIABLE] = JSON.stringify(world);
}
