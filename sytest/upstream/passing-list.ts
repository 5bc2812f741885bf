/**
 * `passing.txt`: the tests of the official suite that pass, one id a line, in the
 * suite's own order. The list may only grow; `compare` finds what a run took away.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import type { TestId, TestResult } from './tap.ts';

const HEADER = [
  '# Tests of the official SyTest suite that pass against Parley, one a line.',
  '# Written by `npm run sytest -- --suite DIR --update`; a run fails if any of them is lost.',
  '',
];

/** The ids in the file; a file that does not exist is an empty list. */
export function readPassingList(path: string): Set<TestId> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
    throw error;
  }
  return new Set(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')));
}

export function writePassingList(path: string, ids: Iterable<TestId>): void {
  writeFileSync(path, [...HEADER, ...ids, ''].join('\n'));
}

export interface Comparison {
  /** Listed, in a file that was run, and not passing now (failed, skipped or gone). */
  readonly lost: readonly TestId[];
  /** Passing now and not listed. */
  readonly gained: readonly TestId[];
  /** The list grown by what was gained: files in the suite's order, and within a file too. */
  readonly grown: readonly TestId[];
}

/**
 * `files` limits the comparison to those test files; empty means the whole suite
 * was run, so that a listed test which no longer exists counts as lost.
 */
export function compare(
  listed: ReadonlySet<TestId>,
  results: ReadonlyMap<TestId, TestResult>,
  files: readonly string[],
): Comparison {
  const wasRun = (id: TestId) => files.length === 0 || files.includes(fileOf(id));
  const passes = (id: TestId) => results.get(id)?.outcome === 'passed';
  const gained = [...results.keys()].filter((id) => passes(id) && !listed.has(id));
  return {
    lost: [...listed].filter((id) => wasRun(id) && !passes(id)),
    gained,
    grown: inSuiteOrder([...listed, ...gained], results),
  };
}

function fileOf(id: TestId): string {
  return id.slice(0, id.indexOf(': '));
}

/** Ids of files that were not run keep the order they had. */
function inSuiteOrder(ids: TestId[], results: ReadonlyMap<TestId, TestResult>): TestId[] {
  const numberOf = (id: TestId) => results.get(id)?.number ?? 0;
  return ids.sort((a, b) => {
    const [fileA, fileB] = [fileOf(a), fileOf(b)];
    if (fileA !== fileB) return fileA < fileB ? -1 : 1;
    return numberOf(a) - numberOf(b);
  });
}
