/**
 * Asking a room's policy server to sign an event.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#asking-for-a-policy-server-signature-on-an-event
 */
import type { PolicySigner } from '../homeserver/rooms/policy-servers.ts';
import { lenientCanonicalJson } from '../spec/canonical-json.ts';
import { type ErrorCode, type MatrixError, matrixError } from '../spec/errors.ts';
import type { JsonObject, MatrixEvent } from '../spec/event.ts';
import type { ServerName } from '../spec/identifiers.ts';
import { POLICY_SERVER_KEY_ID, signatureOf } from '../spec/signing.ts';
import { FederationError, RefusedByServer } from './federation-error.ts';
import type { FederationClient } from './http-client.ts';

/** Short, because the events that follow in the room wait as well. */
const RECEIPT_TIMEOUT_MS = 5_000;
const CLIENT_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_ANSWER_VALUES = 1_000;
const MAX_TEXT_LENGTH = 1000;

/**
 * What a policy server may say to a client. Any code at all would let whoever chose the server log
 * people out.
 */
const PASSED_ON: readonly ErrorCode[] = [
  'M_BAD_JSON',
  'M_NOT_JSON',
  'M_FORBIDDEN',
  'M_NOT_FOUND',
  'M_UNRECOGNIZED',
  'M_LIMIT_EXCEEDED',
];
const STATUSES_PASSED_ON = [400, 403, 404, 429];

export class FederatedPolicyServers implements PolicySigner {
  readonly #client: FederationClient;

  constructor(deps: { readonly client: FederationClient }) {
    this.#client = deps.client;
  }

  async sign(
    server: ServerName,
    event: MatrixEvent,
    { forClient }: { readonly forClient: boolean },
  ): Promise<string | undefined> {
    try {
      const signatures = await this.#client.request({
        destination: server,
        method: 'POST',
        path: '/_matrix/policy/v1/sign',
        // Events of old room versions may hold any number.
        canonicalBody: lenientCanonicalJson(event.pdu as unknown as JsonObject),
        essential: forClient,
        timeoutMs: forClient ? CLIENT_TIMEOUT_MS : RECEIPT_TIMEOUT_MS,
        purpose: 'room',
        maxBytes: MAX_ANSWER_BYTES,
        maxValues: MAX_ANSWER_VALUES,
      });
      return signatureOf({ signatures }, server, POLICY_SERVER_KEY_ID);
    } catch (error) {
      if (error instanceof RefusedByServer && error.status < 500) throw refusal(error);
      if (!(error instanceof FederationError)) throw error;
      throw matrixError(
        'M_UNKNOWN',
        `The room's policy server: ${error.message}`,
        {},
        { status: 502 },
      );
    }
  }
}

/** "If the Policy Server returned an error, that error SHOULD be provided to the client verbatim." */
const refusal = ({ status, body, destination }: RefusedByServer): MatrixError => {
  const errcode = PASSED_ON.find((code) => code === body['errcode']) ?? 'M_FORBIDDEN';
  const text = body['error'];
  const retryAfterMs = body['retry_after_ms'];
  return matrixError(
    errcode,
    typeof text === 'string' ? text.slice(0, MAX_TEXT_LENGTH) : `${destination} refused`,
    Number.isSafeInteger(retryAfterMs) ? { retry_after_ms: retryAfterMs as number } : {},
    { status: STATUSES_PASSED_ON.includes(status) ? status : 403 },
  );
};
