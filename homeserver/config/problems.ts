/** Checks a configuration against the schema and says, for a person, everything that is wrong. */
import { Ajv, type ErrorObject } from 'ajv';
import { type Path, showPath } from './defaults.ts';
import type { FieldSchema } from './fields.ts';
import { nearest } from './nearest.ts';

export interface Problem {
  readonly path: Path;
  /** Without the path: "is 5, expected ...". */
  readonly text: string;
}

const shownValue = (value: unknown): string => {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 60 ? `${json.slice(0, 57)}...` : json;
};

/** Keys whose values are not repeated into a terminal or a log. */
const isSecret = (path: Path): boolean =>
  path.some((part) => /secret|password|url$/.test(String(part)));

const expectation = (schema: FieldSchema): string => {
  if (schema.expects !== undefined) return schema.expects;
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  return `a value of type ${schema.type}`;
};

const pathOf = (pointer: string): Path =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));

const problemOf = (error: ErrorObject): Problem => {
  const path = pathOf(error.instancePath);
  const schema = error.parentSchema as FieldSchema;
  if (error.keyword === 'additionalProperties') {
    const key = String(error.params['additionalProperty']);
    const known = Object.keys(schema.properties ?? {});
    const guess = nearest(key, known);
    const hint =
      guess === undefined ? `known keys here: ${known.join(', ')}` : `did you mean ${guess}?`;
    return { path: [...path, key], text: `is not a key of the configuration; ${hint}` };
  }
  if (error.keyword === 'required') {
    const key = String(error.params['missingProperty']);
    const missing = schema.properties?.[key];
    const expected = missing === undefined ? '' : `, expected ${expectation(missing)}`;
    return { path: [...path, key], text: `is missing${expected}` };
  }
  const found = isSecret(path) ? 'is not right' : `is ${shownValue(error.data)}`;
  return { path, text: `${found}, expected ${expectation(schema)}` };
};

/** Every problem once, in the order of the schema. */
export const problemsOf = (schema: FieldSchema, value: unknown): Problem[] => {
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: false });
  if (ajv.validate(schema, value)) return [];
  const byPath = new Map<string, Problem>();
  for (const problem of (ajv.errors ?? []).map(problemOf)) {
    const key = showPath(problem.path);
    if (!byPath.has(key)) byPath.set(key, problem);
  }
  return [...byPath.values()];
};
