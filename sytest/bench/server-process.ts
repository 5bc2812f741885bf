/** The built server, started as a person would start it, with what a measurement needs to know. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { Authority } from '../lib/authority.ts';
import { connectTo, postmasterOf } from '../lib/embedded-database.ts';
import { parley } from '../lib/parley.ts';
import { type Recipe, Server, type ServerAddress } from '../lib/server.ts';
import { cpuSecondsOf, databaseCpuSecondsOf } from './processes.ts';

export interface ServerOptions {
  /** Set to write a processor profile there when the server stops. */
  readonly profileDir: string | undefined;
  /** Leave its folder behind, with data, configuration and log. */
  readonly keep: boolean;
  /** The built checkout to run; this one if not given. */
  readonly root?: string | undefined;
  readonly processes?: number | undefined;
}

export interface RunningServer {
  readonly url: URL;
  /** By its name, as other servers reach it. */
  readonly server: ServerAddress;
  /** Whose certificates it trusts. */
  readonly authority: Authority;
  readonly pid: number;
  /** Processor time of its processes so far, all threads. @throws where the system does not tell */
  cpuSeconds(): Promise<number>;
  /** That of its PostgreSQL. */
  databaseCpuSeconds(): Promise<number | undefined>;
  readonly folder: string;
  /** From the start of the process until it was ready. */
  readonly startedInMs: number;
  /** Stops it as an operator would and starts it again; its process is another one then. */
  restart(): Promise<void>;
  /** A connection to its database, for the caller to end. */
  database(): Promise<pg.Client>;
  /** Stops it and resolves with the profiles it wrote. */
  stop(): Promise<string[]>;
}

/** @throws with the end of the server's log when it does not come up */
export const startServer = async ({
  profileDir,
  keep,
  root,
  processes = 1,
}: ServerOptions): Promise<RunningServer> => {
  const settings = { log: { level: 'warn' }, ...(processes > 1 && { processes }) };
  const recipe = parley(settings, root);
  const authority = new Authority();
  const server = await Server.create(withProfile(recipe, profileDir), authority);
  const startedMs = performance.now();
  await server.start();
  return {
    url: new URL(server.clientUrl),
    server,
    authority,
    get pid() {
      return server.pid!;
    },
    folder: server.site.dir,
    startedInMs: performance.now() - startedMs,
    cpuSeconds: async () => {
      const seconds = await cpuSecondsOf(server.pid!);
      if (seconds === undefined) throw new Error('the system tells no processor time');
      return seconds;
    },
    databaseCpuSeconds: () => databaseCpuSecondsOf(postmasterOf(server)),
    restart: () => server.restart(),
    database: () => connectTo(server),
    stop: async () => {
      await (keep ? server.stop() : server.destroy());
      if (profileDir === undefined) return [];
      return (await readdir(profileDir)).map((name) => join(profileDir, name));
    },
  };
};

/** The arguments of a recipe's command are those of Node, the program's own after them. */
const withProfile = (recipe: Recipe, profileDir: string | undefined): Recipe => {
  if (profileDir === undefined) return recipe;
  const profiling = ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
  return {
    ...recipe,
    prepare: (site) => {
      const command = recipe.prepare(site);
      return { ...command, args: [...profiling, ...command.args] };
    },
  };
};
