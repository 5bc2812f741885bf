/** Asking other servers for keys: declared here, done by federation. */
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName, UserId } from '../../spec/identifiers.ts';

/**
 * Whoever a question is asked for has a share of all that are asked at one time. Every call throws
 * when the server gives no answer; what it answers is not checked.
 */
export interface RemoteKeys {
  /** https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery */
  query(
    server: ServerName,
    deviceKeys: JsonObject,
    asker: UserId,
    timeoutMs: number,
  ): Promise<JsonObject>;
  /** https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim */
  claim(
    server: ServerName,
    oneTimeKeys: JsonObject,
    asker: UserId,
    timeoutMs: number,
  ): Promise<JsonObject>;
  /** https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid */
  devices(userId: UserId, timeoutMs: number, asker: UserId | undefined): Promise<JsonObject>;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
