/**
 * The JSON object whose signature authenticates a request.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#request-authentication, step 1
 */
import type { JsonObject, JsonValue } from '../../spec/event.ts';
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
  const { origin, destination, method, uri, canonicalBody } = request;
  const content = canonicalBody === undefined ? '' : `"content":${canonicalBody},`;
  const text =
    `{${content}"destination":${JSON.stringify(destination)},"method":${JSON.stringify(method)},` +
    `"origin":${JSON.stringify(origin)},"uri":${JSON.stringify(uri)}}`;
  return formatXMatrix({ origin, destination, key: key.keyId, sig: signText(text, key) });
};

/** The object a received request claims to be signed as; `content` only if there was a body. */
export const signedRequest = (
  request: Omit<RequestToSign, 'canonicalBody'> & {
    readonly content: JsonValue | undefined;
    /** Key id to signature, as the headers say. */
    readonly signatures: Readonly<Record<string, string>>;
  },
): JsonObject => {
  const { origin, destination, method, uri, content, signatures } = request;
  return {
    ...(content === undefined ? {} : { content }),
    destination,
    method,
    origin,
    uri,
    signatures: { [origin]: { ...signatures } },
  };
};
