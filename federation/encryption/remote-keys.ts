/** Asking other servers for their users' keys and devices. */
import type { RemoteKeys } from '../../homeserver/encryption/remote-keys.ts';
import type { JsonObject } from '../../spec/event.ts';
import { type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import type { FederationClient } from '../http-client.ts';
import { uri } from '../uri.ts';

/** Keys of some thousand devices. */
const ANSWER_BOUNDS = { maxBytes: 16 * 1024 * 1024, maxValues: 500_000 };
/** One person's devices, a thousand at most. */
const DEVICES_BOUNDS = { maxBytes: 8 * 1024 * 1024, maxValues: 100_000 };

export class FederatedKeys implements RemoteKeys {
  readonly #client: FederationClient;

  constructor(client: FederationClient) {
    this.#client = client;
  }

  query(
    server: ServerName,
    deviceKeys: JsonObject,
    asker: UserId,
    timeoutMs: number,
  ): Promise<JsonObject> {
    return this.#client.request({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/query',
      body: { device_keys: deviceKeys },
      timeoutMs,
      purpose: 'person',
      requester: asker,
      ...ANSWER_BOUNDS,
    });
  }

  claim(
    server: ServerName,
    oneTimeKeys: JsonObject,
    asker: UserId,
    timeoutMs: number,
  ): Promise<JsonObject> {
    return this.#client.request({
      destination: server,
      method: 'POST',
      path: '/_matrix/federation/v1/user/keys/claim',
      body: { one_time_keys: oneTimeKeys },
      timeoutMs,
      purpose: 'person',
      requester: asker,
      ...ANSWER_BOUNDS,
    });
  }

  devices(userId: UserId, timeoutMs: number, asker: UserId | undefined): Promise<JsonObject> {
    return this.#client.request({
      destination: serverNameOf(userId),
      method: 'GET',
      path: uri`/_matrix/federation/v1/user/devices/${userId}`,
      timeoutMs,
      ...(asker === undefined ? { purpose: 'room' } : { purpose: 'person', requester: asker }),
      ...DEVICES_BOUNDS,
    });
  }
}
