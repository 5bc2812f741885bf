/**
 * `npm run sytest -- --suite DIR [--perl5lib DIR] [--update] [files...]`
 *
 * Runs the official SyTest suite (a checkout outside this repository) against two
 * built Parley servers, counts what really passed, and fails if anything listed in
 * `passing.txt` was lost, if the suite did not reach its end, or if a server
 * process ended by itself. Two processes of the machine's PATH are needed: perl
 * and openssl.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { repositoryRoot } from '../lib/repository.ts';
import { compare, readPassingList, writePassingList } from './passing-list.ts';
import { createTapReader, idsOf, type SuiteRun, type TestResult } from './tap.ts';

const USAGE = `npm run sytest -- --suite DIR [options] [test files, as tests/31sync/02sync.pl]

  --suite DIR         checkout of the official SyTest suite
  --perl5lib DIR      folder of Perl modules to add to PERL5LIB
  --update            add what newly passes to passing.txt
  --work-dir DIR      where servers write their data and logs (default: a new temporary folder)
  --ports FROM:TO     ports to use (default 18800:18899)
  --idle-seconds N    give up when the suite prints nothing for so long (default 180)
  --implementation X  another SyTest implementation, for comparison; passing.txt is left alone
  -- ARGS...          further options for the suite's run-tests.pl
`;

interface Options {
  readonly suiteDir: string;
  readonly perl5libDir: string | undefined;
  readonly update: boolean;
  readonly workDir: string;
  readonly ports: string;
  readonly idleMs: number;
  readonly implementation: string;
  readonly files: readonly string[];
  readonly passThrough: readonly string[];
}

function readOptions(argv: readonly string[]): Options {
  const dashes = argv.indexOf('--');
  const own = dashes < 0 ? argv : argv.slice(0, dashes);
  const { values, positionals } = parseArgs({
    args: [...own],
    allowPositionals: true,
    options: {
      suite: { type: 'string' },
      perl5lib: { type: 'string' },
      update: { type: 'boolean', default: false },
      'work-dir': { type: 'string' },
      ports: { type: 'string', default: '18800:18899' },
      'idle-seconds': { type: 'string', default: '180' },
      implementation: { type: 'string', default: 'Parley' },
    },
  });
  if (values.suite === undefined) throw new Error(`--suite is needed\n\n${USAGE}`);
  const suiteDir = resolve(values.suite);
  if (!existsSync(join(suiteDir, 'run-tests.pl'))) {
    throw new Error(`${suiteDir} is no SyTest checkout: it has no run-tests.pl`);
  }
  return {
    suiteDir,
    perl5libDir: values.perl5lib === undefined ? undefined : resolve(values.perl5lib),
    update: values.update,
    workDir: values['work-dir']
      ? resolve(values['work-dir'])
      : mkdtempSync(join(tmpdir(), 'parley-sytest-')),
    ports: values.ports,
    idleMs: Number(values['idle-seconds']) * 1000,
    implementation: values.implementation,
    files: positionals,
    passThrough: dashes < 0 ? [] : argv.slice(dashes + 1),
  };
}

function startSuite(options: Options, root: string): ChildProcess {
  const perl5lib = [options.perl5libDir, process.env['PERL5LIB']].filter(Boolean).join(':');
  const args = ['run-tests.pl', '-I', options.implementation, '-O', 'tap', '--all'];
  args.push('--exclude-deprecated', '--work-directory', options.workDir, '-p', options.ports);
  return spawn('perl', [...args, ...options.passThrough, ...options.files], {
    cwd: options.suiteDir,
    env: {
      ...process.env,
      ...(perl5lib === '' ? {} : { PERL5LIB: perl5lib }),
      SYTEST_PLUGINS: join(root, 'sytest/upstream/plugin'),
      PARLEY_ROOT: root,
      PARLEY_NODE: process.execPath,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own process group, so that stopping it early stops the servers it started too.
    detached: true,
  });
}

/** Servers stop gracefully on SIGINT; whatever is left after 40 s is killed. */
function stopSuite(suite: ChildProcess): void {
  const signalGroup = (signal: NodeJS.Signals) => {
    try {
      process.kill(-suite.pid!, signal);
    } catch {
      // The group has ended already.
    }
  };
  signalGroup('SIGINT');
  setTimeout(() => signalGroup('SIGKILL'), 40_000).unref();
}

/** Runs the suite to its end, or until it says nothing for `idleMs`. Never throws for a failing test. */
async function runSuite(options: Options, root: string): Promise<SuiteRun> {
  mkdirSync(options.workDir, { recursive: true });
  const suite = startSuite(options, root);
  const reader = createTapReader();
  let lastHeardMs = Date.now();
  const follow = async (stream: Readable, logName: string, take: (line: string) => void) => {
    const log = createWriteStream(join(options.workDir, logName));
    for await (const line of createInterface({ input: stream })) {
      lastHeardMs = Date.now();
      log.write(`${line}\n`);
      take(line);
    }
    log.end();
  };
  const watchdog = setInterval(() => {
    if (Date.now() - lastHeardMs < options.idleMs) return;
    console.error(`The suite has printed nothing for ${options.idleMs / 1000} s: stopping it.`);
    lastHeardMs = Date.now();
    stopSuite(suite);
  }, 1000);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopSuite(suite));
  const closed = new Promise<void>((done, failed) => {
    suite.once('error', failed);
    suite.once('close', () => done());
  });
  try {
    await Promise.all([
      follow(suite.stdout!, 'tap.log', (line) => {
        reader.stdoutLine(line);
        if (/^(not )?ok \d+ /.test(line)) console.log(line);
      }),
      follow(suite.stderr!, 'stderr.log', (line) => reader.stderrLine(line)),
      closed,
    ]);
  } finally {
    clearInterval(watchdog);
  }
  return reader.finish();
}

function count(results: readonly TestResult[], outcome: TestResult['outcome']): number {
  return results.filter((result) => result.outcome === outcome).length;
}

/** `tests/31sync/02sync.pl` belongs to `31sync`; files directly in `tests` to `(top level)`. */
function groupOf(file: string): string {
  const parts = file.split('/');
  return parts.length > 2 ? parts[1]! : '(top level)';
}

function printTable(results: readonly TestResult[]): void {
  for (const group of new Set(results.map((result) => groupOf(result.file)))) {
    const own = results.filter((result) => groupOf(result.file) === group);
    const columns = [count(own, 'passed'), own.length]
      .map((n) => String(n).padStart(4))
      .join(' of');
    const skipped = count(own, 'skipped');
    console.log(`${group.padEnd(24)}${columns}${skipped === 0 ? '' : `  (${skipped} skipped)`}`);
  }
}

function revisionOf(suiteDir: string): string {
  try {
    return execFileSync('git', ['-C', suiteDir, 'rev-parse', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  const root = repositoryRoot();
  const listPath = join(root, 'sytest/upstream/passing.txt');
  console.log(`Servers write to ${options.workDir}`);

  const run = await runSuite(options, root);
  const ids = idsOf(run.results);
  const listed =
    options.implementation === 'Parley' ? readPassingList(listPath) : new Set<string>();
  const { lost, gained, grown } = compare(listed, ids, options.files);

  console.log('');
  printTable(run.results);
  console.log('');
  for (const id of gained) console.log(`newly passing: ${id}`);
  for (const id of lost) console.log(`LOST: ${id} (${ids.get(id)?.outcome ?? 'not run'})`);
  for (const crash of run.crashes) console.log(`CRASH: ${crash}`);
  if (!run.complete) console.log('INCOMPLETE: the suite did not print its final 1..N');
  const date = new Date().toISOString().slice(0, 10);
  console.log(
    `official suite (revision ${revisionOf(options.suiteDir)}, ${date}): ` +
      `${count(run.results, 'passed')} of ${run.results.length} tests really pass, ` +
      `${count(run.results, 'failed')} fail, ${count(run.results, 'skipped')} skipped; ` +
      `${lost.length} lost, ${gained.length} newly passing`,
  );

  if (options.update && options.implementation === 'Parley' && run.complete) {
    writePassingList(listPath, grown);
    console.log(`passing.txt now lists ${grown.length} tests`);
  }
  return lost.length === 0 && run.crashes.length === 0 && run.complete ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
