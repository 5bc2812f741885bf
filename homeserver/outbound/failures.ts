/**
 * How an outbound request fails: "try again later" and "give up" are different types, so that no
 * caller has to read messages. An answer with an error status is an answer, not a failure.
 */

/** Why it may work another time. */
export type RetryableReason =
  /** The name could not be resolved. */
  | 'dns'
  /** No connection: refused, unreachable, or not established in time. Nothing was sent. */
  | 'connect'
  /** The handshake failed or the certificate is not valid for the name. Nothing was sent. */
  | 'tls'
  /** No complete answer in time. */
  | 'timeout'
  /** The connection broke before the answer was complete. */
  | 'reset'
  /** The caller's signal fired, or the module is closing. */
  | 'aborted'
  /** The other end does not speak HTTP. */
  | 'bad_response';

/** Why trying again is of no use. */
export type PermanentReason =
  /** Every address of the name is one the guard refuses. */
  | 'address_refused'
  /** The body is larger than the caller accepts. */
  | 'too_large'
  /** Too many redirects, or one to nowhere we would go. */
  | 'redirect'
  /** The address to fetch is not one. */
  | 'bad_url';

export abstract class OutboundFailure extends Error {
  abstract readonly reason: RetryableReason | PermanentReason;
}

export class RetryableFailure extends OutboundFailure {
  override readonly name = 'RetryableFailure';
  readonly reason: RetryableReason;

  constructor(reason: RetryableReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }

  /** Whether the request certainly never reached the other end, so another address may be tried. */
  get nothingSent(): boolean {
    return this.reason === 'dns' || this.reason === 'connect' || this.reason === 'tls';
  }
}

export class PermanentFailure extends OutboundFailure {
  override readonly name = 'PermanentFailure';
  readonly reason: PermanentReason;

  constructor(reason: PermanentReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

const CONNECT_CODES = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EADDRNOTAVAIL',
  'ENETDOWN',
]);

/** Certificate verification results (X509_V_ERR_*) as Node names them, and handshake failures. */
const TLS_CODE =
  /^(?:ERR_TLS_|ERR_SSL_|EPROTO$|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH$|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED$|ERROR_IN_CERT_)/;

/**
 * Gives an error of the network stack its type.
 * @param connected whether the connection (with TLS, its handshake) had been established
 */
export const failureFrom = (error: unknown, connected: boolean, where: string): OutboundFailure => {
  if (error instanceof OutboundFailure) return error;
  const cause = error as NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] };
  // Several addresses were tried: the last one's failure stands for all.
  const code = cause.errors?.at(-1)?.code ?? cause.code ?? '';
  const failure = (reason: RetryableReason) =>
    new RetryableFailure(reason, `${where}: ${cause.message || code}`, { cause: error });
  if (CONNECT_CODES.has(code)) return failure('connect');
  if (TLS_CODE.test(code)) return failure(connected ? 'reset' : 'tls');
  if (code.startsWith('HPE_')) return failure('bad_response');
  return failure(connected ? 'reset' : 'connect');
};
