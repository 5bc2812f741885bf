/** Reads the configuration: defaults, then the YAML file over them, then the environment over both. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { StartFailure } from '../ops/start-failure.ts';
import { crossChecks } from './cross-checks.ts';
import { isPlainObject, mapPaths, type Path, showPath, withDefaults } from './defaults.ts';
import { type Environment, readEnvironment } from './environment.ts';
import type { FieldSchema } from './fields.ts';
import { type Problem, problemsOf } from './problems.ts';
import { type Config, configSchema } from './schema.ts';

export interface LoadOptions {
  /** The YAML file; none is read when absent. */
  readonly file?: string | undefined;
  readonly env?: Environment;
  /** Where relative paths start when there is no file. The current folder unless given. */
  readonly folder?: string;
}

const schema = configSchema as FieldSchema;

const fail = (lines: readonly string[]): never => {
  const count = lines.length === 1 ? 'a problem' : `${lines.length} problems`;
  const text = `The configuration has ${count}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
  throw new StartFailure('config', text);
};

const readYaml = (file: string): Record<string, unknown> => {
  let source: string;
  try {
    source = readFileSync(file, 'utf8');
  } catch (error) {
    return fail([`${file} cannot be read (${(error as Error).message})`]);
  }
  const document = parseDocument(source, { prettyErrors: true });
  if (document.errors.length > 0) {
    return fail(document.errors.map(({ message }) => `${file}: ${message.split('\n')[0]}`));
  }
  const value: unknown = document.toJS() ?? {};
  return isPlainObject(value) ? value : fail([`${file} must hold keys and values`]);
};

const setAt = (target: Record<string, unknown>, path: readonly string[], value: unknown): void => {
  let place = target;
  for (const key of path.slice(0, -1)) {
    const next = place[key];
    // Something else than a group is reported, whatever the environment says about its keys.
    if (next !== undefined && next !== null && !isPlainObject(next)) return;
    const copy = { ...(next ?? {}) } as Record<string, unknown>;
    place[key] = copy;
    place = copy;
  }
  place[path.at(-1) ?? ''] = value;
};

const startsWith = (path: Path, start: Path): boolean =>
  start.every((part, index) => path[index] === part);

/** Throws a `StartFailure` that names every problem, the key it is at and what was expected. */
export const loadConfig = ({ file, env = {}, folder }: LoadOptions = {}): Config => {
  const given = file === undefined ? {} : readYaml(file);
  const fromEnvironment = readEnvironment(schema, env);
  for (const { path, value } of fromEnvironment.values) setAt(given, path, value);

  const complete = withDefaults(schema, given);
  const problems = problemsOf(schema, complete);
  if (problems.length === 0) problems.push(...crossChecks(complete as Config));
  const show = ({ path, text }: Problem): string => {
    const source = fromEnvironment.values.find((value) => startsWith(path, value.path));
    const origin = source === undefined ? '' : ` (from ${source.variable})`;
    return `${showPath(path)}${origin} ${text}`;
  };
  const lines = [
    ...problems.map(show),
    ...fromEnvironment.problems.map(({ variable, text }) => `${variable} ${text}`),
  ];
  if (lines.length > 0) fail(lines);

  const base = file === undefined ? (folder ?? process.cwd()) : dirname(resolve(file));
  const absolute = (path: string) => (isAbsolute(path) ? path : resolve(base, path));
  return mapPaths(schema, complete, absolute) as Config;
};
