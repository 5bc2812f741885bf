/**
 * `npm run bench`: starts the ceiling and the built server, runs the scenarios one after another and
 * prints a line for each. See docs/performance.md.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { type Ceiling, startCeiling } from './ceiling-process.ts';
import { type ComparedFigure, compare, comparisonTable, isWorse } from './comparison.ts';
import { type Options, parseOptions, USAGE, UsageError } from './options.ts';
import { allWell, failed, judge, line, type Result, table, toJson } from './report.ts';
import { NotApplicable, type Scenario, World } from './scenario.ts';
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
  { seconds, processes }: Options,
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
  processes,
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

const runComparisons = async (
  chosen: readonly Scenario[],
  [here, there]: readonly [World, World],
  { rounds, json, strict }: Options,
  say: (text: string) => void,
): Promise<number> => {
  const figures: ComparedFigure[] = [];
  let broken = 0;
  for (const scenario of chosen) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    try {
      const found = await compare(scenario, here, there, rounds);
      figures.push(...found);
      if (found.length > 0) say(comparisonTable(found));
    } catch (error) {
      if (!(error instanceof NotApplicable)) broken += 1;
      say(line(failed(scenario, error)));
    }
  }
  say(`\n${comparisonTable(figures)}`);
  if (json) process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
  return strict && (broken > 0 || figures.some(isWorse)) ? 1 : 0;
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
  const servers: RunningServer[] = [];
  const worlds: World[] = [];
  const close = async (): Promise<void> => {
    for (const world of worlds) await world.close();
    const profiles: string[] = [];
    for (const server of servers) profiles.push(...(await server.stop()));
    await ceiling?.stop();
    for (const profile of profiles) say(`processor profile: ${profile}`);
    if (options.keep) say(`kept: ${[folder, ...servers.map((each) => each.folder)].join(' ')}`);
    else await rm(folder, { recursive: true, force: true });
  };
  const interrupted = (): void => {
    void close().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);

  try {
    const running = await startCeiling(join(folder, 'ceiling'));
    ceiling = running;
    const openWorld = (server: RunningServer | undefined): World => {
      const world = new World({
        registrar: {
          url: server?.url ?? options.target!,
          sharedSecret: options.registrationSecret,
        },
        pid: options.pid,
        server,
        ceiling: running,
        seconds: options.seconds,
      });
      worlds.push(world);
      return world;
    };
    const start = async (processes: number, root?: string): Promise<RunningServer> => {
      const server = await startServer({ profileDir, keep: options.keep, root, processes });
      servers.push(server);
      return server;
    };
    const server = options.target === undefined ? await start(options.processes) : undefined;
    const world = openWorld(server);
    const url = world.url;
    const conditions = describeConditions(ceiling, url, options);
    say(Object.values(conditions).join(' · '));
    if (server !== undefined)
      say(`the server answered ${Math.round(server.startedInMs)} ms after its start`);
    if (options.against !== undefined) {
      const other = openWorld(await start(1, resolve(options.against)));
      return await runComparisons(chosen, [world, other], options, say);
    }
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
