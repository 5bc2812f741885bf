/**
 * `npm run sweep [-- --update]`: sweeps a server of its own and prints what it
 * serves, what it does not, and what is wrong; `--update` adds what is newly served
 * to `served.txt`.
 */

import { parseArgs } from 'node:util';
import { Authority } from '../lib/authority.ts';
import { parley } from '../lib/parley.ts';
import { Peer } from '../lib/peer/peer.ts';
import { Server } from '../lib/server.ts';
import { synapse, synapsePython } from '../lib/synapse.ts';
import { growServedList, readServedList, type SweepResult, sweep } from './sweep.ts';

async function sweepOwnServer(python: string | undefined): Promise<SweepResult> {
  const authority = new Authority();
  const recipe = python === undefined ? parley() : synapse(python);
  const server = await (await Server.create(recipe, authority)).start();
  const peer = await Peer.start(authority);
  try {
    return await sweep({ server, peer });
  } finally {
    await peer.stop();
    await server.destroy();
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
  const python = process.env['PARLEY_SUITE_TARGET'] === 'synapse' ? synapsePython() : undefined;
  const { served, notServed, findings, summary } = await sweepOwnServer(python);
  const listed = python === undefined ? readServedList() : new Set<string>();
  const lost = notServed.filter((name) => listed.has(name));
  for (const name of notServed) console.log(`not served: ${name}`);
  for (const { operation, problem } of findings) console.log(`WRONG: ${operation}: ${problem}`);
  for (const name of served) if (!listed.has(name)) console.log(`newly served: ${name}`);
  for (const name of lost) console.log(`LOST: ${name}`);
  console.log(summary);
  if (values.update && python === undefined) growServedList(served);
  return findings.length === 0 && lost.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 2;
}
