/**
 * Picks the fields of an event that a filter's `event_fields` ask for.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter
 */
import type { JsonObject, JsonValue } from './event.ts';
import { isJsonObject, parsePropertyPath } from './property-path.ts';

/** A copy of an event with only the selected fields; what is selected whole is shared, not copied. */
export type FieldSelection = (event: JsonObject) => JsonObject;

/** No event has a use for deeper paths, and the selection descends by recursion. */
const MAX_PATH_LENGTH = 64;

interface FieldNode {
  /** Whether everything below here is selected. */
  whole: boolean;
  readonly children: Map<string, FieldNode>;
}

/** `undefined` if one of the dot-separated paths has more than 64 parts. */
export const compileFieldSelection = (paths: readonly string[]): FieldSelection | undefined => {
  const root: FieldNode = { whole: false, children: new Map() };
  for (const path of paths) {
    const names = parsePropertyPath(path);
    if (names.length > MAX_PATH_LENGTH) return undefined;
    let node = root;
    for (const name of names) {
      let child = node.children.get(name);
      if (child === undefined) {
        child = { whole: false, children: new Map() };
        node.children.set(name, child);
      }
      node = child;
    }
    node.whole = true;
  }
  return (event) => (select(event, root) ?? {}) as JsonObject;
};

/** The selected part of a value; `undefined` if there is none. */
const select = (value: JsonValue | undefined, node: FieldNode): JsonValue | undefined => {
  if (node.whole) return value;
  if (!isJsonObject(value)) return undefined;
  // Without a prototype, a field may have any name, even `__proto__`.
  const selected: JsonObject = Object.create(null);
  let isAny = false;
  for (const [name, child] of node.children) {
    const part = Object.hasOwn(value, name) ? select(value[name], child) : undefined;
    if (part === undefined) continue;
    selected[name] = part;
    isAny = true;
  }
  return isAny ? selected : undefined;
};
