/**
 * `npm run bench`: starts the ceiling and the built server, runs the scenarios one after another and
 * prints a line for each. See docs/performance.md.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { type Ceiling, startCeiling } from './ceiling-process.ts';
import { type Options, parseOptions, USAGE, UsageError } from './options.ts';
import { allWell, failed, judge, line, type Result, table, toJson } from './report.ts';
import { type Scenario, World } from './scenario.ts';
import { scenarios } from './scenarios/index.ts';
import { type RunningServer, startServer } from './server-process.ts';

/** Between scenarios, for what the last one left to do. */
const SETTLE_MS = 500;

const chooseScenarios = ({ only }: Options): readonly Scenario[] => {
  const unknown = only.find((name) => !scenarios.some((scenario) => scenario.name === name));
  if (unknown !== undefined) throw new UsageError(`no scenario is called '${unknown}'; see --list`);
  return only.length === 0 ? scenarios : scenarios.filter(({ name }) => only.includes(name));
};

const describeConditions = (
  ceiling: Ceiling,
  target: URL,
  seconds: number,
): Record<string, string | number> => ({
  date: new Date().toISOString(),
  node: process.version,
  system: `${process.platform} ${release()} ${process.arch}`,
  cores: availableParallelism(),
  processor: cpus()[0]?.model ?? 'unknown',
  memoryGb: Math.round(totalmem() / 1e9),
  ceilingDatabase:
    `PostgreSQL ${ceiling.database.version}, fsync ${ceiling.database.fsync}, ` +
    `synchronous_commit ${ceiling.database.synchronousCommit}`,
  target: target.href,
  seconds,
});

const runScenarios = async (
  chosen: readonly Scenario[],
  world: World,
  say: (text: string) => void,
): Promise<Result[]> => {
  const results: Result[] = [];
  for (const scenario of chosen) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const result = await scenario.run(world).then(
      (outcome) => judge(scenario, outcome),
      (error: unknown) => failed(scenario, error),
    );
    results.push(result);
    say(line(result));
  }
  return results;
};

/** Resolves with the exit code. */
const bench = async (options: Options): Promise<number> => {
  const say = (text: string): void => {
    (options.json ? process.stderr : process.stdout).write(`${text}\n`);
  };
  const chosen = chooseScenarios(options);
  // Every temporary folder of this run, those of the server included, is made there.
  if (options.workDir !== undefined) process.env['TMPDIR'] = resolve(options.workDir);
  const folder = await mkdtemp(join(tmpdir(), 'parley-bench-'));
  // The databases do not run as root even where this program does, and must reach their folders.
  await chmod(folder, 0o755);
  const profileDir = options.profile
    ? await mkdtemp(join(tmpdir(), 'parley-bench-profile-'))
    : undefined;

  let ceiling: Ceiling | undefined;
  let server: RunningServer | undefined;
  let world: World | undefined;
  const close = async (): Promise<void> => {
    await world?.close();
    const profiles = await server?.stop();
    await ceiling?.stop();
    for (const profile of profiles ?? []) say(`processor profile: ${profile}`);
    if (options.keep) say(`kept: ${[folder, ...(server ? [server.folder] : [])].join(' ')}`);
    else await rm(folder, { recursive: true, force: true });
  };
  const interrupted = (): void => {
    void close().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);

  try {
    ceiling = await startCeiling(join(folder, 'ceiling'));
    if (options.target === undefined)
      server = await startServer({ profileDir, keep: options.keep });
    const url = server?.url ?? options.target!;
    const conditions = describeConditions(ceiling, url, options.seconds);
    say(Object.values(conditions).join(' · '));
    if (server !== undefined)
      say(`the server answered ${Math.round(server.startedInMs)} ms after its start`);
    world = new World({
      registrar: { url, sharedSecret: options.registrationSecret },
      pid: server?.pid ?? options.pid,
      federation: server,
      ceiling,
      seconds: options.seconds,
    });
    const results = await runScenarios(chosen, world, say);
    say(`\n${table(results)}`);
    if (options.json) process.stdout.write(`${toJson(conditions, results)}\n`);
    return options.strict && !allWell(results) ? 1 : 0;
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    await close();
  }
};

const main = async (): Promise<number> => {
  try {
    const options = parseOptions(process.argv.slice(2));
    if (options.help) process.stdout.write(USAGE);
    else if (options.list) {
      for (const { name, measures } of scenarios) {
        process.stdout.write(`${name.padEnd(16)} ${measures}\n`);
      }
    } else return await bench(options);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    return 2;
  }
};

process.exit(await main());
