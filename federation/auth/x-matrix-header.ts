/**
 * The `Authorization: X-Matrix` header, read and written.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
 */

export interface XMatrix {
  readonly origin: string;
  /** Absent from servers older than v1.3 of the specification. */
  readonly destination: string | undefined;
  /** With its algorithm: `ed25519:a_1`. */
  readonly key: string;
  /** Unpadded base64. */
  readonly sig: string;
}

const SCHEME = /^x-matrix +/i;
/**
 * One parameter with what separates it from the next: `name=token` or `name="quoted"`. Unquoted
 * values may hold colons (and base64's `/`) for the sake of older servers.
 */
const PARAMETER =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t]*(?:,[ \t,]*|$)/y;
const MAX_HEADER_LENGTH = 4096;

/**
 * Reads one header value; `undefined` for another scheme, for what does not follow the grammar, and
 * for a repeated or missing parameter. Unknown parameters are ignored.
 */
export const parseXMatrix = (header: string): XMatrix | undefined => {
  const scheme = header.length <= MAX_HEADER_LENGTH ? SCHEME.exec(header) : null;
  if (scheme === null) return undefined;
  const parameters = new Map<string, string>();
  PARAMETER.lastIndex = scheme[0].length;
  while (PARAMETER.lastIndex < header.length) {
    const match = PARAMETER.exec(header);
    if (match === null) return undefined;
    const [, name = '', quoted, token = ''] = match;
    const key = name.toLowerCase();
    if (parameters.has(key)) return undefined;
    parameters.set(key, quoted === undefined ? token : quoted.replace(/\\(.)/g, '$1'));
  }
  const origin = parameters.get('origin');
  const key = parameters.get('key');
  const sig = parameters.get('sig');
  if (origin === undefined || key === undefined || sig === undefined) return undefined;
  return { origin, destination: parameters.get('destination'), key, sig };
};

/** None of the values can hold a quote or backslash: they are server names, key ids and base64. */
export const formatXMatrix = ({ origin, destination, key, sig }: XMatrix): string =>
  `X-Matrix origin="${origin}",destination="${destination}",key="${key}",sig="${sig}"`;
