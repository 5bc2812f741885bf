/**
 * How an error gets from the process where a call failed to the one that made it. A Matrix error
 * arrives as itself, and so do the classes both sides were told of; anything else is a bug, which
 * arrives with the stack of its origin, so that one line in the caller's log, with its request id,
 * says all of it.
 */

import { type ErrorCode, MatrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';

/** A class of errors with nothing to it but its name and message, such as LogWriteFailed. */
export type NamedError = new (message: string) => Error;

export type TravellingError =
  | {
      readonly kind: 'matrix';
      readonly errcode: string;
      readonly message: string;
      readonly fields: JsonObject;
      readonly status: number;
    }
  | { readonly kind: 'named'; readonly name: string; readonly message: string }
  | { readonly kind: 'bug'; readonly message: string; readonly stack: string };

const maxStackLength = 4_000;

export class ErrorTranslator {
  readonly #named: ReadonlyMap<string, NamedError>;

  constructor(named: readonly NamedError[] = []) {
    this.#named = new Map(named.map((type) => [new type('').name, type]));
  }

  encode(error: unknown): TravellingError {
    if (error instanceof MatrixError) {
      const { errcode, message, fields, status } = error;
      return { kind: 'matrix', errcode, message, fields, status };
    }
    const {
      name,
      message,
      stack = message,
    } = error instanceof Error ? error : new Error(`${error}`);
    if (this.#named.has(name)) return { kind: 'named', name, message };
    return { kind: 'bug', message, stack: stack.slice(0, maxStackLength) };
  }

  decode(error: TravellingError): Error {
    if (error.kind === 'matrix') {
      return new MatrixError(error.errcode as ErrorCode, error.message, error.fields, error.status);
    }
    if (error.kind === 'named') {
      const type = this.#named.get(error.name);
      // Another release may know classes that this one does not.
      return type === undefined ? new Error(error.message) : new type(error.message);
    }
    const bug = new Error(error.message);
    bug.stack = `${bug.stack}\n  in another process: ${error.stack}`;
    return bug;
  }
}
