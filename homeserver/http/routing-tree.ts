/**
 * Finding a route: a tree of path segments. A literal segment is preferred to a parameter, and a
 * parameter matches any one segment, the empty one too (an empty state key ends a path in `/`).
 *
 * Why not @koa/router or find-my-way: docs/decisions/0002-http-routing.md.
 */
import { decodeComponent } from './query.ts';

interface Leaf<T> {
  readonly value: T;
  readonly names: readonly string[];
}

class Node<T> {
  readonly literals = new Map<string, Node<T>>();
  parameter: Node<T> | undefined = undefined;
  readonly methods = new Map<string, Leaf<T>>();
}

export type RouteMatch<T> =
  | {
      readonly kind: 'found';
      readonly value: T;
      readonly names: readonly string[];
      /** Of the parameters, in order, still percent-encoded. */
      readonly values: readonly string[];
    }
  /** `value` is of any one of the path's methods. */
  | { readonly kind: 'wrong-method'; readonly allowed: readonly string[]; readonly value: T }
  | { readonly kind: 'unknown' };

const UNKNOWN = { kind: 'unknown' } as const;

/** The names between braces, in order. */
export const parameterNames = (path: string): string[] =>
  [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1] as string);

export class RoutingTree<T> {
  readonly #root = new Node<T>();

  /** `path` is written as the specification writes it: `/rooms/{roomId}/join`. */
  add(method: string, path: string, value: T): void {
    let node = this.#root;
    for (const segment of path.split('/').slice(1)) {
      if (segment.startsWith('{') && segment.endsWith('}')) {
        node.parameter ??= new Node<T>();
        node = node.parameter;
      } else {
        let next = node.literals.get(segment);
        if (next === undefined) {
          next = new Node<T>();
          node.literals.set(segment, next);
        }
        node = next;
      }
    }
    if (node.methods.has(method)) throw new Error(`two routes for ${method} ${path}`);
    node.methods.set(method, { value, names: parameterNames(path) });
  }

  /** `path` is as received, still percent-encoded. A route for GET answers HEAD too. */
  find(method: string, path: string): RouteMatch<T> {
    const values: string[] = [];
    const node = descend(this.#root, path.split('/'), 1, values);
    if (node === undefined) return UNKNOWN;
    const leaf =
      node.methods.get(method) ?? (method === 'HEAD' ? node.methods.get('GET') : undefined);
    if (leaf !== undefined) return { kind: 'found', value: leaf.value, names: leaf.names, values };
    const allowed = [...node.methods.keys()];
    if (node.methods.has('GET')) allowed.push('HEAD');
    const [any] = node.methods.values();
    return { kind: 'wrong-method', allowed, value: (any as Leaf<T>).value };
  }
}

/** Decodes each value exactly once. Throws `M_INVALID_PARAM` for a malformed escape. */
export const decodeParameters = (
  names: readonly string[],
  values: readonly string[],
): Record<string, string> => {
  // biome-ignore lint/plugin: the names are those of our paths.
  const params: Record<string, string> = {};
  for (let i = 0; i < values.length; i++) {
    const name = names[i] as string;
    params[name] = decodeComponent(values[i] as string, `'${name}' in the path`);
  }
  return params;
};

/** Goes back to the parameter where the literal led nowhere; as deep as the longest known path. */
const descend = <T>(
  node: Node<T>,
  segments: readonly string[],
  index: number,
  values: string[],
): Node<T> | undefined => {
  if (index === segments.length) return node.methods.size > 0 ? node : undefined;
  const segment = segments[index] as string;
  const literal = node.literals.get(segment);
  if (literal !== undefined) {
    const found = descend(literal, segments, index + 1, values);
    if (found !== undefined) return found;
  }
  if (node.parameter === undefined) return undefined;
  values.push(segment);
  const found = descend(node.parameter, segments, index + 1, values);
  if (found === undefined) values.pop();
  return found;
};
