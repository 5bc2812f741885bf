/**
 * `npm run sweep [-- --update]`: asks a running server for every operation of the
 * specification and prints how many it serves.
 *
 * An operation counts as served if its proper method, with whatever it needs to
 * authenticate, gets any other answer than 404 or 405 with `M_UNRECOGNIZED`. That
 * says nothing unless unknown paths do get that answer, so those are tried first.
 * Of every operation served it must also be true that a missing token is refused
 * as the specification says, that another method gets 405, and that no answer is a
 * server error or of a wrong shape. `served.txt` lists the operations served; the
 * list only grows, and `--update` grows it.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Authority } from '../lib/authority.ts';
import { parley } from '../lib/parley.ts';
import { Peer } from '../lib/peer/peer.ts';
import { repositoryRoot } from '../lib/repository.ts';
import { Server } from '../lib/server.ts';
import { synapse, synapsePython } from '../lib/synapse.ts';
import { type Api, loadOperations, type Operation } from './operations.ts';
import { type Finding, type Probe, probeOperation, probeUnknownPaths } from './probe.ts';

const API_NAMES: Readonly<Record<Api, string>> = {
  'client-server': 'client',
  'server-server': 'server',
  'push-gateway': 'push',
};

const LIST_HEADER = '# Operations served, one a line. Written by `npm run sweep -- --update`.\n';

/** Two operations may share a method and a path, so the name is part of it. */
const idOf = ({ method, path, id }: Operation) => `${method} ${path} ${id}`;

/** `operations served: 12 of 166 client, 3 of 36 server, 0 of 1 push` */
function summary(operations: readonly Operation[], served: ReadonlySet<string>): string {
  const counts = Object.entries(API_NAMES).map(([api, name]) => {
    const own = operations.filter((operation) => operation.api === api);
    return `${own.filter((each) => served.has(idOf(each))).length} of ${own.length} ${name}`;
  });
  return `operations served: ${counts.join(', ')}`;
}

function readList(path: string): Set<string> {
  const lines = readFileSync(path, 'utf8').split('\n');
  return new Set(lines.filter((line) => line !== '' && !line.startsWith('#')));
}

async function sweep(probe: Probe, operations: readonly Operation[]) {
  const findings: Finding[] = await probeUnknownPaths(probe);
  const served = new Set<string>();
  for (const operation of operations) {
    const result = await probeOperation(probe, operation);
    if (result.served) served.add(idOf(operation));
    findings.push(...result.findings);
  }
  return { served, findings };
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
  const listPath = join(repositoryRoot(), 'sytest/sweep/served.txt');
  const { operations } = loadOperations();
  const authority = new Authority();
  const python = process.env['PARLEY_SUITE_TARGET'] === 'synapse' ? synapsePython() : undefined;
  const recipe = python === undefined ? parley() : synapse(python);
  const server = await (await Server.create(recipe, authority)).start();
  const peer = await Peer.start(authority);
  try {
    const { served, findings } = await sweep({ server, peer }, operations);
    const listed = python === undefined ? readList(listPath) : new Set<string>();
    const lost = [...listed].filter((id) => !served.has(id));
    const gained = [...served].filter((id) => !listed.has(id));
    for (const each of operations)
      if (!served.has(idOf(each))) console.log(`not served: ${idOf(each)}`);
    for (const { operation, problem } of findings) console.log(`WRONG: ${operation}: ${problem}`);
    for (const id of gained) console.log(`newly served: ${id}`);
    for (const id of lost) console.log(`LOST: ${id}`);
    console.log(summary(operations, served));
    if (values.update && python === undefined) {
      const grown = operations.map(idOf).filter((id) => listed.has(id) || served.has(id));
      writeFileSync(listPath, `${LIST_HEADER}${grown.join('\n')}\n`);
    }
    return findings.length === 0 && lost.length === 0 ? 0 : 1;
  } finally {
    await peer.stop();
    await server.destroy();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error);
  process.exitCode = 2;
}
