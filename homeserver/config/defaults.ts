/** Walking over the schema: defaults, and every key with its path. */
import type { FieldSchema } from './fields.ts';

export type Path = readonly (string | number)[];

/** `listeners[0].port`, as messages show it. */
export const showPath = (path: Path): string =>
  path.reduce<string>((shown, part) => {
    if (typeof part === 'number') return `${shown}[${part}]`;
    return shown === '' ? part : `${shown}.${part}`;
  }, '');

export const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A group of keys that is always there, unlike one that may be null as a whole. */
export const isGroup = (
  schema: FieldSchema,
): schema is FieldSchema & { properties: Readonly<Record<string, FieldSchema>> } =>
  schema.type === 'object' && schema.properties !== undefined;

/** `value` with everything absent filled in. What is wrong in it stays as it is, to be reported. */
export const withDefaults = (schema: FieldSchema, value: unknown): unknown => {
  if (value === undefined && 'default' in schema) return structuredClone(schema.default);
  if (schema.orOne === true && typeof value === 'string') return [value];
  if (isGroup(schema)) {
    // An empty group in YAML reads as null.
    const given = value ?? {};
    if (!isPlainObject(given)) return value;
    const result: Record<string, unknown> = { ...given };
    for (const [key, property] of Object.entries(schema.properties)) {
      const filled = withDefaults(property, given[key]);
      if (filled !== undefined) result[key] = filled;
    }
    return result;
  }
  if (Array.isArray(value) && schema.items !== undefined) {
    const { items } = schema;
    return value.map((item) => withDefaults(items, item));
  }
  return value;
};

export interface Leaf {
  readonly path: readonly string[];
  readonly schema: FieldSchema;
}

/** Every key that holds a value, in the order of the schema; a list is one key. */
export const leavesOf = (schema: FieldSchema, path: readonly string[] = []): Leaf[] =>
  isGroup(schema)
    ? Object.entries(schema.properties).flatMap(([key, property]) =>
        leavesOf(property, [...path, key]),
      )
    : [{ path, schema }];

/** Replaces every text at a key that holds a path, however deep, by what `resolve` makes of it. */
export const mapPaths = (
  schema: FieldSchema,
  value: unknown,
  resolve: (path: string) => string,
): unknown => {
  if (typeof value === 'string') return schema.holds === 'path' ? resolve(value) : value;
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? value : value.map((item) => mapPaths(items, item, resolve));
  }
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const property = schema.properties?.[key];
      return [key, property === undefined ? item : mapPaths(property, item, resolve)];
    }),
  );
};
