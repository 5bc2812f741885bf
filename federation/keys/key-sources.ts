/**
 * Asking for key documents: the server itself, and notaries on behalf of servers that do not answer.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
 */
import type { Clock } from '../../homeserver/clock.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { FederationClient } from '../http-client.ts';
import { MAX_DOCUMENT_BYTES, type ParsedKeyDocument, parseKeyDocument } from './key-document.ts';

/** Keys wanted of a server: valid at least until the time given. */
export interface KeyWish {
  readonly serverName: ServerName;
  readonly keyIds: readonly string[];
  readonly validAtMs: number;
}

const TIMEOUT_MS = 10_000;
const MAX_DOCUMENT_VALUES = 1_000;
const MAX_NOTARY_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_NOTARY_ANSWER_VALUES = 50_000;
/** What a notary may tell of one server: it may have keys from several documents. */
const MAX_DOCUMENTS_PER_SERVER = 16;

/** `undefined` when the server answers with no valid document. @throws {FederationError} */
export const fetchOwnDocument = async (
  client: FederationClient,
  serverName: ServerName,
  purpose: 'keys' | 'notary',
  clock: Clock,
): Promise<ParsedKeyDocument | undefined> => {
  const document = await client.request({
    destination: serverName,
    method: 'GET',
    path: '/_matrix/key/v2/server',
    unsigned: true,
    // A server that is being left alone may just have spoken to us, which is why we want its key.
    essential: true,
    timeoutMs: TIMEOUT_MS,
    purpose,
    maxBytes: MAX_DOCUMENT_BYTES,
    maxValues: MAX_DOCUMENT_VALUES,
  });
  return parseKeyDocument(document, serverName, clock.nowMs());
};

/**
 * What a notary says of several servers. Only documents of servers asked for, signed by those
 * servers, are returned; the notary's own signature on them is for the caller to check.
 * @throws {FederationError}
 */
export const fetchFromNotary = async (
  client: FederationClient,
  notary: ServerName,
  wishes: readonly KeyWish[],
  clock: Clock,
): Promise<ParsedKeyDocument[]> => {
  const wanted: JsonObject = Object.fromEntries(
    wishes.map(({ serverName, keyIds, validAtMs }) => [
      serverName,
      Object.fromEntries(keyIds.map((keyId) => [keyId, { minimum_valid_until_ts: validAtMs }])),
    ]),
  );
  const { server_keys: answer } = await client.request({
    destination: notary,
    method: 'POST',
    path: '/_matrix/key/v2/query',
    body: { server_keys: wanted },
    timeoutMs: TIMEOUT_MS,
    purpose: 'keys',
    maxBytes: MAX_NOTARY_ANSWER_BYTES,
    maxValues: MAX_NOTARY_ANSWER_VALUES,
  });
  const documents: ParsedKeyDocument[] = [];
  const counts = new Map<string, number>();
  for (const document of Array.isArray(answer) ? answer : []) {
    const serverName = serverNameIn(document);
    if (serverName === undefined || !Object.hasOwn(wanted, serverName)) continue;
    const count = counts.get(serverName) ?? 0;
    counts.set(serverName, count + 1);
    if (count >= MAX_DOCUMENTS_PER_SERVER) continue;
    const parsed = parseKeyDocument(document as JsonObject, serverName, clock.nowMs());
    if (parsed !== undefined) documents.push(parsed);
  }
  return documents;
};

const serverNameIn = (document: JsonValue): string | undefined => {
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    return undefined;
  const { server_name: serverName } = document;
  return typeof serverName === 'string' ? serverName : undefined;
};
