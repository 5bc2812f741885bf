/**
 * Configuration from environment variables: `PARLEY_` and the key's path in capitals, joined by
 * underscores (`PARLEY_DATABASE_URL`). With `_FILE` behind it, the variable names a file that holds
 * the value, as secrets are handed to containers.
 */
import { readFileSync } from 'node:fs';
import { type Leaf, leavesOf } from './defaults.ts';
import type { FieldSchema } from './fields.ts';
import { nearest } from './nearest.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentValue {
  readonly variable: string;
  readonly path: readonly string[];
  readonly value: unknown;
}

/** What a process tells its child processes of their place; see `child-processes.ts`. */
export const childVariable = 'PARLEY_CHILD';
/** The variable that names the configuration file itself. */
export const configFileVariable = 'PARLEY_CONFIG';
const prefix = 'PARLEY_';
/** Of the project's own test tools, which hand their environment on to the servers they start. */
const toolVariable = /^PARLEY_(TEST_|SUITE_|SYTEST_|SYNAPSE_|ROOT$|NODE$)/;
/** Kubernetes announces a service called "parley" to every container in this way. */
const serviceLink = /^PARLEY_(SERVICE_(HOST|PORT.*)|PORT(_\d+_.*)?)$/;

export const variableOf = (path: readonly string[]): string =>
  prefix + path.join('_').toUpperCase();

/** A text that does not read as the key's type is left as it is, for the check to report. */
const parse = (schema: FieldSchema, raw: string): unknown => {
  const types = [schema.type ?? []].flat();
  if (types.includes('null') && (raw === '' || raw === 'null')) return null;
  if (types.includes('string') && types.includes('integer')) {
    return /^\d+$/.test(raw) ? Number(raw) : raw;
  }
  if (types.includes('string')) return raw;
  if (types.includes('boolean')) {
    if (raw === 'true' || raw === '1') return true;
    return raw === 'false' || raw === '0' ? false : raw;
  }
  if (types.includes('integer') || types.includes('number')) {
    return raw.trim() !== '' && Number.isFinite(Number(raw)) ? Number(raw) : raw;
  }
  try {
    return JSON.parse(raw) as unknown;
  } catch {
    return raw;
  }
};

const read = (leaf: Leaf, variable: string, env: Environment): unknown => {
  const raw = env[variable];
  if (raw !== undefined) return parse(leaf.schema, raw);
  const file = env[`${variable}_FILE`];
  return file === undefined
    ? undefined
    : parse(leaf.schema, readFileSync(file, 'utf8').replace(/\r?\n$/, ''));
};

export interface EnvironmentResult {
  readonly values: EnvironmentValue[];
  readonly problems: { readonly variable: string; readonly text: string }[];
}

export const readEnvironment = (schema: FieldSchema, env: Environment): EnvironmentResult => {
  const values: EnvironmentValue[] = [];
  const problems: EnvironmentResult['problems'] = [];
  const known = new Set([configFileVariable, childVariable]);
  for (const leaf of leavesOf(schema)) {
    const variable = variableOf(leaf.path);
    known.add(variable).add(`${variable}_FILE`);
    try {
      const value = read(leaf, variable, env);
      if (value !== undefined) values.push({ variable, path: leaf.path, value });
    } catch (error) {
      const text = `names a file that cannot be read (${(error as Error).message})`;
      problems.push({ variable: `${variable}_FILE`, text });
    }
  }
  for (const variable of Object.keys(env)) {
    if (!variable.startsWith(prefix) || known.has(variable)) continue;
    if (toolVariable.test(variable) || serviceLink.test(variable)) continue;
    const guess = nearest(variable, [...known]);
    const hint = guess === undefined ? '' : `; did you mean ${guess}?`;
    problems.push({ variable, text: `is not a variable of the configuration${hint}` });
  }
  return { values, problems };
};
