/**
 * Query strings: decoded once, strictly, and given the types a route's schema asks for.
 */
import { matrixError } from '../../spec/errors.ts';

export type ParsedQuery = ReadonlyMap<string, readonly string[]>;

/**
 * Decodes one component; throws `M_INVALID_PARAM` naming `what` when it is malformed. What it returns
 * is a string of its own: a part of the URL would keep all of the URL in memory for as long as itself.
 */
export const decodeComponent = (raw: string, what: string): string => {
  let text: string;
  try {
    text = decodeURIComponent(raw);
  } catch {
    throw matrixError('M_INVALID_PARAM', `${what} is not valid percent-encoded UTF-8`);
  }
  if (text.includes('\u0000')) {
    throw matrixError('M_INVALID_PARAM', `${what} contains a NUL character`);
  }
  return text;
};

const EMPTY: ParsedQuery = new Map();

/** `text` is what follows the question mark. */
export const parseQuery = (text: string): ParsedQuery => {
  if (text === '') return EMPTY;
  const query = new Map<string, string[]>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const rawKey = equals === -1 ? pair : pair.slice(0, equals);
    const rawValue = equals === -1 ? '' : pair.slice(equals + 1);
    const key = decodeComponent(rawKey.replaceAll('+', ' '), 'A query parameter name');
    const value = decodeComponent(rawValue.replaceAll('+', ' '), `The query parameter '${key}'`);
    const known = query.get(key);
    if (known === undefined) query.set(key, [value]);
    else known.push(value);
  }
  return query;
};

type Kind = 'string' | 'integer' | 'number' | 'boolean';

interface Property {
  readonly key: string;
  readonly kind: Kind;
  readonly list: boolean;
}

/** How to read a query by a schema: made once for each route. */
export type QueryPlan = readonly Property[];

interface SchemaNode {
  readonly type?: string;
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
}

const kindOf = (node: SchemaNode): Kind =>
  node.type === 'integer' || node.type === 'number' || node.type === 'boolean'
    ? node.type
    : 'string';

export const queryPlan = (schema: object): QueryPlan =>
  Object.entries((schema as SchemaNode).properties ?? {}).map(([key, node]) => ({
    key,
    kind: kindOf(node.type === 'array' ? (node.items ?? {}) : node),
    list: node.type === 'array',
  }));

const DECIMAL = /^-?[0-9]{1,16}$/;
const FRACTION = /^-?[0-9]{1,16}(?:\.[0-9]{1,16})?$/;

/** Text that does not read as the kind stays text, for the validator to refuse by name. */
const coerce = (text: string, kind: Kind): unknown => {
  switch (kind) {
    case 'integer':
      return DECIMAL.test(text) ? Number(text) : text;
    case 'number':
      return FRACTION.test(text) ? Number(text) : text;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'string':
      return text;
  }
};

/** The declared parameters that are present. A single-valued one given twice is refused. */
export const readQuery = (query: ParsedQuery, plan: QueryPlan): Record<string, unknown> => {
  // biome-ignore lint/plugin: the names are those of a schema.
  const out: Record<string, unknown> = {};
  for (const { key, kind, list } of plan) {
    const values = query.get(key);
    if (values === undefined) continue;
    if (list) {
      out[key] = values.map((value) => coerce(value, kind));
    } else if (values.length > 1) {
      throw matrixError('M_INVALID_PARAM', `The query parameter '${key}' is given more than once`);
    } else {
      out[key] = coerce(values[0] as string, kind);
    }
  }
  return out;
};
