/**
 * The one error type that reaches clients and other servers, and the one table of error codes.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#standard-error-response and the
 * error codes of each API.
 */
import type { JsonObject } from './event.ts';

/** Every error code of the specification with the HTTP status it usually travels with. */
export const ERROR_STATUS = {
  M_APPSERVICE_LOGIN_UNSUPPORTED: 400,
  M_BAD_ALIAS: 400,
  M_BAD_JSON: 400,
  M_BAD_STATE: 400,
  M_BAD_STATUS: 502,
  M_CANNOT_LEAVE_SERVER_NOTICE_ROOM: 403,
  M_CANNOT_OVERWRITE_MEDIA: 409,
  M_CAPTCHA_INVALID: 401,
  M_CAPTCHA_NEEDED: 401,
  M_CONNECTION_FAILED: 502,
  M_CONNECTION_TIMEOUT: 504,
  M_DESTINATION_REJECTED: 400,
  M_DUPLICATE_ANNOTATION: 400,
  M_EMAIL_SEND_ERROR: 400,
  M_EXCLUSIVE: 400,
  M_FORBIDDEN: 403,
  M_GUEST_ACCESS_FORBIDDEN: 403,
  M_INCOMPATIBLE_ROOM_VERSION: 400,
  M_INVALID_ADDRESS: 400,
  M_INVALID_EMAIL: 400,
  M_INVALID_PARAM: 400,
  M_INVALID_PEPPER: 400,
  M_INVALID_ROOM_STATE: 400,
  M_INVALID_SIGNATURE: 400,
  M_INVALID_USERNAME: 400,
  M_INVITE_BLOCKED: 403,
  M_KEY_TOO_LARGE: 400,
  M_LIMIT_EXCEEDED: 429,
  M_MISSING_PARAM: 400,
  M_MISSING_PARAMS: 400,
  M_MISSING_TOKEN: 401,
  M_NOT_FOUND: 404,
  M_NOT_JSON: 400,
  M_NOT_YET_UPLOADED: 504,
  M_NO_VALID_SESSION: 404,
  M_PROFILE_TOO_LARGE: 400,
  M_RESOURCE_LIMIT_EXCEEDED: 403,
  M_ROOM_IN_USE: 400,
  M_SEND_ERROR: 400,
  M_SERVER_NOT_TRUSTED: 400,
  M_SESSION_EXPIRED: 400,
  M_SESSION_NOT_VALIDATED: 400,
  M_TERMS_NOT_SIGNED: 403,
  M_THREEPID_AUTH_FAILED: 403,
  M_THREEPID_DENIED: 403,
  M_THREEPID_IN_USE: 400,
  M_THREEPID_MEDIUM_NOT_SUPPORTED: 400,
  M_THREEPID_NOT_FOUND: 400,
  M_TOKEN_INCORRECT: 400,
  M_TOO_LARGE: 413,
  M_UNABLE_TO_AUTHORISE_JOIN: 400,
  M_UNABLE_TO_GRANT_JOIN: 400,
  M_UNAUTHORIZED: 401,
  M_UNKNOWN: 500,
  M_UNKNOWN_DEVICE: 400,
  M_UNKNOWN_TOKEN: 401,
  /** An unknown endpoint; a known one with the wrong method is 405, given explicitly. */
  M_UNRECOGNIZED: 404,
  M_UNSUPPORTED_ROOM_VERSION: 400,
  M_URL_NOT_SET: 400,
  M_USER_DEACTIVATED: 403,
  M_USER_IN_USE: 400,
  M_USER_LIMIT_EXCEEDED: 403,
  M_USER_LOCKED: 401,
  M_USER_SUSPENDED: 403,
  M_WEAK_PASSWORD: 400,
  M_WRONG_ROOM_KEYS_VERSION: 403,
} as const satisfies Record<`M_${string}`, number>;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** A failure with a meaning in the protocol. Made by {@link matrixError}. */
export class MatrixError extends Error {
  readonly errcode: ErrorCode;
  /** HTTP status. */
  readonly status: number;
  /** What the body says besides `errcode` and `error`. */
  readonly fields: JsonObject;

  constructor(errcode: ErrorCode, message: string, fields: JsonObject, status: number) {
    super(message);
    this.name = 'MatrixError';
    this.errcode = errcode;
    this.status = status;
    this.fields = fields;
  }

  /** The response body. */
  toJSON(): JsonObject {
    return { ...this.fields, errcode: this.errcode, error: this.message };
  }
}

/** An error to throw; `message` is shown to the person or server at the other end. */
export const matrixError = (
  errcode: ErrorCode,
  message: string,
  fields: JsonObject = {},
  { status = ERROR_STATUS[errcode] as number }: { status?: number } = {},
): MatrixError => new MatrixError(errcode, message, fields, status);

/** The refusal of a rate limiter. The HTTP layer adds `Retry-After` from `retry_after_ms`. */
export const limitExceeded = (
  retryAfterMs: number,
  message = 'Too many requests; wait a while and try again',
): MatrixError =>
  matrixError('M_LIMIT_EXCEEDED', message, {
    retry_after_ms: Math.max(0, Math.ceil(retryAfterMs)),
  });
