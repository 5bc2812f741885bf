/**
 * Holds every response the suite meets against the specification: a successful
 * JSON response must match the operation's response schema, and an error must be
 * a Matrix error (https://spec.matrix.org/v1.19/client-server-api/#standard-error-response).
 */

import { createRequire } from 'node:module';
import type { ErrorObject, ValidateFunction } from 'ajv';
import type Ajv2020 from 'ajv/dist/2020.js';
import { createMatcher, type JsonSchema, loadOperations } from '../sweep/operations.ts';

/** CommonJS whose default export differs between loaders: required, so that both see the class. */
const { Ajv2020: Ajv } = createRequire(import.meta.url)('ajv/dist/2020.js') as {
  Ajv2020: typeof Ajv2020.default;
};

const { operations, $defs } = loadOperations();
const findOperation = createMatcher(operations);
const ajv = new Ajv({ strict: false, allErrors: true, formats: matrixFormats() });
ajv.addSchema({ $id: 'spec', $defs });
const validators = new Map<string, ValidateFunction>();

/** Grammars of https://spec.matrix.org/v1.19/appendices/#identifier-grammar, as far as a regular expression goes. */
function matrixFormats(): Record<string, RegExp | true> {
  return {
    'mx-user-id': /^@[^:]*:.+$/,
    'mx-room-id': /^!.+$/,
    'mx-room-alias': /^#[^:]*:.+$/,
    'mx-event-id': /^\$.+$/,
    'mx-server-name': /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?$/,
    'mx-mxc-uri': /^mxc:\/\/[^/]+\/[A-Za-z0-9_-]+$/,
    'mx-unpadded-base64': /^[A-Za-z0-9+/]*$/,
    'mx-urlsafe-unpadded-base64': /^[A-Za-z0-9_-]*$/,
    int64: true,
    float: true,
    email: /^[^@\s]+@[^@\s]+$/,
    uri: /^[a-z][a-z0-9+.-]*:/i,
  };
}

/** Answers taken although no schema allows them, because the specification leaves the case open. */
const KNOWN_DEPARTURES: Readonly<Record<string, (body: unknown) => boolean>> = {
  // A server without TURN: clients read "none" from an empty object, and retry after an error.
  getTurnServer: (body) => JSON.stringify(body) === '{}',
};

/**
 * What is wrong with a response, one line each; empty when nothing is. A request
 * to no operation of the specification is only checked as an error.
 *
 * @param path as requested, without the query
 * @param body the parsed JSON, or `undefined` if the response was not JSON
 */
export function violations(method: string, path: string, status: number, body: unknown): string[] {
  const where = `${method} ${path} → ${status}`;
  if (status === 500) return [`${where}: a server error: ${JSON.stringify(body)}`];
  const operation = findOperation(method, path);
  const schema = operation?.responses[status];
  if (status >= 400) {
    const { errcode, error } = (body ?? {}) as Record<string, unknown>;
    const stages =
      status === 401 && Array.isArray((body as { flows?: unknown } | undefined)?.flows);
    if (stages || (typeof errcode === 'string' && typeof error === 'string')) return [];
    return [`${where}: not a Matrix error: ${JSON.stringify(body)}`];
  }
  if (operation === undefined || schema === undefined) return [];
  if (KNOWN_DEPARTURES[operation.id]?.(body)) return [];
  const validate = validatorOf(
    `${operation.api} ${operation.id} ${operation.path} ${status}`,
    schema,
  );
  if (validate(body)) return [];
  return validate.errors!.map((each) => `${where} (${operation.id}): ${describe(each, body)}`);
}

function validatorOf(key: string, schema: JsonSchema): ValidateFunction {
  let validate = validators.get(key);
  if (validate === undefined) {
    const absolute = JSON.stringify(schema).replaceAll('"$ref":"#/$defs/', '"$ref":"spec#/$defs/');
    validate = ajv.compile(JSON.parse(absolute) as object);
    validators.set(key, validate);
  }
  return validate;
}

function describe({ instancePath, message, params }: ErrorObject, body: unknown): string {
  const value = instancePath
    .split('/')
    .slice(1)
    .reduce<unknown>(
      (at, part) =>
        (at as Record<string, unknown> | undefined)?.[
          part.replaceAll('~1', '/').replaceAll('~0', '~')
        ],
      body,
    );
  const shown = JSON.stringify(value)?.slice(0, 200);
  return `${instancePath || '(body)'} ${message} ${JSON.stringify(params)}, got ${shown}`;
}
