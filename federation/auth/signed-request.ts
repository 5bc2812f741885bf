/**
 * The JSON object whose signature authenticates a request.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#request-authentication, step 1
 */
import { type SigningKey, signText } from '../../spec/signing.ts';
import { formatXMatrix } from './x-matrix-header.ts';

export interface RequestToSign {
  readonly origin: string;
  readonly destination: string;
  readonly method: string;
  /** Path and query as they travel. */
  readonly uri: string;
  /** The body in canonical JSON. */
  readonly canonicalBody: string | undefined;
}

/**
 * The value of the `Authorization` header. The signed object is put together as text, its members
 * already in canonical order, so that a large body is not serialised once more.
 */
export const authorizationHeader = (request: RequestToSign, key: SigningKey): string => {
  const { origin, destination, canonicalBody } = request;
  const [before, after] = aroundContent(request);
  const text = canonicalBody === undefined ? `{${after}` : `${before}${canonicalBody},${after}`;
  return formatXMatrix({ origin, destination, key: key.keyId, sig: signText(text, key) });
};

/**
 * What a received request claims to be signed as; `canonicalBody` is empty if there was no body.
 * Bytes that are not canonical JSON, or not JSON at all, make a text that nobody has signed, or
 * that only the sender itself can have.
 */
export const signedRequest = (
  request: Omit<RequestToSign, 'canonicalBody'>,
  canonicalBody: Buffer,
): Buffer => {
  const [before, after] = aroundContent(request);
  return canonicalBody.length === 0
    ? Buffer.from(`{${after}`)
    : Buffer.concat([Buffer.from(before), canonicalBody, Buffer.from(`,${after}`)]);
};

/** The members before and after the content, in canonical order. */
const aroundContent = ({
  origin,
  destination,
  method,
  uri,
}: Omit<RequestToSign, 'canonicalBody'>): [before: string, after: string] => [
  '{"content":',
  `"destination":${JSON.stringify(destination)},"method":${JSON.stringify(method)},` +
    `"origin":${JSON.stringify(origin)},"uri":${JSON.stringify(uri)}}`,
];
