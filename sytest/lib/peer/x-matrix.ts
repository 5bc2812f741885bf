/** Request authentication. https://spec.matrix.org/v1.19/server-server-api/#request-authentication */

import { canonicalJson, isSignedBy, type Json, type SigningKey } from './signing.ts';

export interface SignedRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly uri: string;
  readonly origin: string;
  readonly destination: string;
  /** Absent when the request has no body. */
  readonly content?: Json;
}

export function authorization(request: SignedRequest, key: SigningKey): string {
  const sig = key.signatureOf(canonicalJson(request));
  const { origin, destination } = request;
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key.id}",sig="${sig}"`;
}

export interface XMatrix {
  readonly origin: string;
  readonly destination: string | undefined;
  readonly key: string;
  readonly sig: string;
}

export function parseAuthorization(header: string | undefined): XMatrix | undefined {
  const [scheme, rest] = header?.split(/ +(.*)/) ?? [];
  if (scheme?.toLowerCase() !== 'x-matrix' || rest === undefined) return undefined;
  const fields = new Map<string, string>();
  for (const [, name, quoted, bare] of rest.matchAll(/([a-z]+)=(?:"([^"]*)"|([^",]*))/gi)) {
    fields.set(name!.toLowerCase(), quoted ?? bare ?? '');
  }
  const [origin, key, sig] = ['origin', 'key', 'sig'].map((name) => fields.get(name));
  if (origin === undefined || key === undefined || sig === undefined) return undefined;
  return { origin, destination: fields.get('destination'), key, sig };
}

export function isAuthentic(
  request: SignedRequest,
  signature: XMatrix,
  publicKey: string | undefined,
): boolean {
  if (publicKey === undefined || signature.destination !== request.destination) return false;
  return isSignedBy(publicKey, canonicalJson(request), signature.sig);
}
