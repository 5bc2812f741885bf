/**
 * Validators compiled from the routes' schemas, and what a client is told when one refuses.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { TSchema } from 'typebox';
import { matrixError } from '../../spec/errors.ts';
import {
  isDeviceId,
  isEventId,
  isRoomAlias,
  isRoomId,
  isServerName,
  isUserId,
} from '../../spec/identifiers.ts';

const ajv = new Ajv({ strict: true, useDefaults: true, strictTypes: false });
for (const [name, check] of Object.entries({
  'matrix-user-id': isUserId,
  'matrix-room-id': isRoomId,
  'matrix-event-id': isEventId,
  'matrix-room-alias': isRoomAlias,
  'matrix-room-id-or-alias': (value: string) => isRoomId(value) || isRoomAlias(value),
  'matrix-server-name': isServerName,
  'matrix-device-id': isDeviceId,
})) {
  ajv.addFormat(name, { type: 'string', validate: check });
}

const compiled = new WeakMap<TSchema, ValidateFunction>();

/** Compiling takes a millisecond or two, so it waits for the first use, or for `Route.prepare`. */
export const validatorOf = (schema: TSchema): ValidateFunction => {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = ajv.compile(schema);
    compiled.set(schema, validate);
  }
  return validate;
};

/** Which part of a request (or the response) a value is. */
export type Part = 'path' | 'query' | 'body' | 'response';

const pathOf = (error: ErrorObject): string => {
  const path = error.instancePath
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (error.keyword === 'required') path.push(String(error.params['missingProperty']));
  return path.filter((step) => step !== '').join('.');
};

const expectation = (errors: readonly ErrorObject[], last: ErrorObject): string => {
  if (last.keyword === 'anyOf' || last.keyword === 'oneOf') {
    const allowed = errors
      .filter((error) => error.keyword === 'const' && error.instancePath === last.instancePath)
      .map((error) => JSON.stringify(error.params['allowedValue']));
    return allowed.length > 0
      ? `must be one of ${allowed.join(', ')}`
      : 'has none of the allowed forms';
  }
  if (last.keyword === 'format') return `must be a ${String(last.params['format'])}`;
  return last.message ?? 'is not valid';
};

/** One line naming the place and what was expected there. */
export const describeErrors = (errors: readonly ErrorObject[], part: Part): string => {
  const last = errors.at(-1) as ErrorObject;
  const path = pathOf(last);
  const what = path === '' ? `The ${part}` : `'${path}' in the ${part}`;
  return last.keyword === 'required'
    ? `${what} is missing`
    : `${what} ${expectation(errors, last)}`;
};

/**
 * Checks `value`, filling in the schema's defaults in place.
 *
 * @throws `M_MISSING_PARAM` for what is absent, `M_BAD_JSON` for a wrong type in a body, and
 * `M_INVALID_PARAM` for any other value that is not allowed.
 */
export const validate = (check: ValidateFunction, value: unknown, part: Part): void => {
  if (check(value)) return;
  const errors = check.errors as ErrorObject[];
  const last = errors.at(-1) as ErrorObject;
  const wrongType =
    last.keyword === 'type' ||
    ((last.keyword === 'anyOf' || last.keyword === 'oneOf') &&
      errors.every((error) => error === last || error.keyword === 'type'));
  const errcode =
    last.keyword === 'required'
      ? 'M_MISSING_PARAM'
      : part === 'body' && wrongType
        ? 'M_BAD_JSON'
        : 'M_INVALID_PARAM';
  throw matrixError(errcode, describeErrors(errors, part));
};
