/**
 * Dot-separated property paths, by which push rules and filters name the properties of events.
 *
 * Specification: https://spec.matrix.org/v1.19/appendices/#dot-separated-property-paths
 */
import type { JsonObject, JsonValue } from './event.ts';

/**
 * The property names along a path: `content.m\.relates_to` is `content` and `m.relates_to`. A
 * backslash escapes a dot or a backslash and is itself before anything else.
 */
export const parsePropertyPath = (path: string): string[] => {
  const names: string[] = [];
  let name = '';
  for (let index = 0; index < path.length; index++) {
    const char = path[index]!;
    const next = path[index + 1];
    if (char === '\\' && (next === '.' || next === '\\')) {
      name += next;
      index += 1;
    } else if (char === '.') {
      names.push(name);
      name = '';
    } else name += char;
  }
  names.push(name);
  return names;
};

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The property at the end of the path; `undefined` if any part of it is absent. */
export const propertyAt = (
  root: JsonValue | undefined,
  names: readonly string[],
): JsonValue | undefined => {
  let value = root;
  for (const name of names) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
};
