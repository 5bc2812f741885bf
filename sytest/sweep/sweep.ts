/**
 * Asks a running server for every operation of the specification, and compares
 * with `served.txt`, the operations it is known to serve. That list only grows.
 *
 * An operation counts as served if its proper method, with whatever it needs to
 * authenticate, gets any other answer than 404 or 405 with `M_UNRECOGNIZED`. That
 * says nothing unless unknown paths do get that answer, so those are tried first.
 * Of every operation served it must also be true that a missing token is refused
 * as the specification says, that another method gets 405, and that no answer is a
 * server error or of a wrong shape.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../lib/repository.ts';
import { type Api, loadOperations, type Operation } from './operations.ts';
import { type Finding, type Probe, probeOperation, probeUnknownPaths } from './probe.ts';

export interface SweepResult {
  /** Operations by name, in the specification's order. */
  readonly served: readonly string[];
  readonly notServed: readonly string[];
  /** What the specification forbids. */
  readonly findings: readonly Finding[];
  /** `operations served: 12 of 166 client, 3 of 36 server, 0 of 1 push` */
  readonly summary: string;
}

const API_NAMES: Readonly<Record<Api, string>> = {
  'client-server': 'client',
  'server-server': 'server',
  'push-gateway': 'push',
};

/** Two operations may share a method and a path, so the operation's id is part of its name. */
const nameOf = ({ method, path, id }: Operation) => `${method} ${path} ${id}`;

export async function sweep(probe: Probe): Promise<SweepResult> {
  const { operations } = loadOperations();
  const findings: Finding[] = await probeUnknownPaths(probe);
  const served = new Set<Operation>();
  for (const operation of operations) {
    const result = await probeOperation(probe, operation);
    if (result.served) served.add(operation);
    findings.push(...result.findings);
  }
  const counts = Object.entries(API_NAMES).map(([api, name]) => {
    const own = operations.filter((operation) => operation.api === api);
    return `${own.filter((each) => served.has(each)).length} of ${own.length} ${name}`;
  });
  return {
    served: operations.filter((each) => served.has(each)).map(nameOf),
    notServed: operations.filter((each) => !served.has(each)).map(nameOf),
    findings,
    summary: `operations served: ${counts.join(', ')}`,
  };
}

const LIST_HEADER = '# Operations served, one a line. Written by `npm run sweep -- --update`.\n';

function listPath(): string {
  return join(repositoryRoot(), 'sytest/sweep/served.txt');
}

export function readServedList(): Set<string> {
  const lines = readFileSync(listPath(), 'utf8').split('\n');
  return new Set(lines.filter((line) => line !== '' && !line.startsWith('#')));
}

/** Adds what is newly served; what is listed stays. */
export function growServedList(served: readonly string[]): void {
  const listed = readServedList();
  const grown = loadOperations()
    .operations.map(nameOf)
    .filter((name) => listed.has(name) || served.includes(name));
  writeFileSync(listPath(), `${LIST_HEADER}${grown.join('\n')}\n`);
}
