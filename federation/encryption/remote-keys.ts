/** Asking other servers for their users' keys and devices. */
import type { RemoteKeys } from '../../homeserver/encryption/remote-keys.ts';
import type { JsonObject } from '../../spec/event.ts';
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { FederationClient } from '../http-client.ts';
import { uri } from '../uri.ts';

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export class FederatedKeys implements RemoteKeys {
  readonly #client: FederationClient;

  constructor(client: FederationClient) {
    this.#client = client;
  }

  query(server: ServerName, deviceKeys: JsonObject, timeoutMs: number): Promise<JsonObject> {
    return this.#client.request({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/query',
      body: { device_keys: deviceKeys },
      timeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
    });
  }

  claim(server: ServerName, oneTimeKeys: JsonObject, timeoutMs: number): Promise<JsonObject> {
    return this.#client.request({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/claim',
      body: { one_time_keys: oneTimeKeys },
      timeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
    });
  }

  devices(userId: UserId, timeoutMs: number): Promise<JsonObject> {
    return this.#client.request({
      destination: serverNameOf(userId),
      method: 'GET',
      path: uri`/_matrix/federation/v1/user/devices/${userId}`,
      timeoutMs,
      maxBytes: MAX_ANSWER_BYTES,
    });
  }
}
