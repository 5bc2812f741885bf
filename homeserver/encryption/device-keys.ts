/**
 * Keys that this server's devices upload, and the handing out of one-time keys.
 * https://spec.matrix.org/v1.19/client-server-api/#key-distribution
 */

import { LRUCache } from 'lru-cache';
import {
  CanonicalJsonError,
  canonicalJson,
  lenientCanonicalJson,
} from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, JsonValue } from '../../spec/event.ts';
import {
  type DeviceId,
  fitsInBytes,
  isWellFormedText,
  type UserId,
} from '../../spec/identifiers.ts';
import { clientDataLimits } from '../accounts/client-data-limits.ts';
import { inBatches } from '../in-batches.ts';
import { LoadingCache } from '../loading-cache.ts';
import type { Database } from '../storage/database.ts';
import {
  type AlgorithmKey,
  addOneTimeKeys,
  type ClaimedKey,
  type DeviceKey,
  deviceKeysUpsert,
  devicesWithKeys,
  type KeyClaim,
  type KeySupply,
  keySupplies,
  keySupplyOf,
  oneTimeKeysAmong,
  putFallbackKeys,
  takeOneTimeKeys,
  useFallbackKeys,
} from '../storage/device-keys.ts';
import { lockDevice } from '../storage/devices.ts';
import type { Broadcast } from '../streams/broadcast.ts';
import type { Claimant, ClaimLimits } from './claim-limits.ts';
import type { DeviceLists } from './device-lists.ts';
import { isObject } from './remote-keys.ts';

export interface KeyUpload {
  readonly deviceKeys?: JsonObject | undefined;
  /** By `algorithm:key id`. */
  readonly oneTimeKeys?: JsonObject | undefined;
  readonly fallbackKeys?: JsonObject | undefined;
}

/** What every sync tells a device of its keys. */
export interface KeySupplyJson {
  readonly counts: string;
  readonly unusedFallbackTypes: string;
}

/** Clients keep 50 to 100 one-time keys of one algorithm. */
const limits = clientDataLimits.oneTimeKeys;
const maxDeviceKeysBytes = clientDataLimits.deviceKeys.bytesEach;
const maxNameBytes = 255;
const maxDevices = 50_000;

const keyOfDevice = (userId: UserId, deviceId: string): string => `${userId} ${deviceId}`;

/** User ids have no space. */
const deviceOf = (key: string): DeviceKey => {
  const at = key.indexOf(' ');
  return { userId: key.slice(0, at) as UserId, deviceId: key.slice(at + 1) as DeviceId };
};

const supplyJson = ({ counts, unusedFallbackTypes }: KeySupply): KeySupplyJson => ({
  counts: JSON.stringify(counts),
  unusedFallbackTypes: JSON.stringify(unusedFallbackTypes),
});

export class DeviceKeys {
  readonly #db: Database;
  readonly #lists: DeviceLists;
  readonly #claimLimits: ClaimLimits;
  readonly #broadcast: Broadcast;
  /** By `keyOfDevice`. */
  readonly #supplies: LoadingCache<string, KeySupplyJson>;

  constructor(deps: {
    readonly db: Database;
    readonly deviceLists: DeviceLists;
    readonly claimLimits: ClaimLimits;
    readonly broadcast: Broadcast;
  }) {
    this.#broadcast = deps.broadcast;
    deps.broadcast.onTold('device keys', (keys: readonly string[]) => {
      for (const key of keys) this.#supplies.forget(key);
    });
    this.#db = deps.db;
    this.#claimLimits = deps.claimLimits;
    this.#lists = deps.deviceLists;
    const load = inBatches((devices: readonly DeviceKey[]) => keySupplies(deps.db, devices));
    this.#supplies = new LoadingCache(
      new LRUCache<string, KeySupplyJson>({ max: maxDevices }),
      async (key) => supplyJson((await load(deviceOf(key))) as KeySupply),
    );
  }

  /**
   * How many one-time keys the device has then, by algorithm.
   * @throws MatrixError M_BAD_JSON, M_INVALID_PARAM, M_RESOURCE_LIMIT_EXCEEDED
   */
  async upload(
    userId: UserId,
    deviceId: DeviceId,
    upload: KeyUpload,
  ): Promise<KeySupply['counts']> {
    const { deviceKeys } = upload;
    const oneTimeKeys = namedKeys(upload.oneTimeKeys);
    const fallbackKeys = onePerAlgorithm(namedKeys(upload.fallbackKeys));
    if (deviceKeys !== undefined) checkDeviceKeys(deviceKeys, userId, deviceId);
    if (oneTimeKeys.length > 0) await this.#checkUnchanged(userId, deviceId, oneTimeKeys);
    if (deviceKeys !== undefined) await this.#putDeviceKeys(userId, deviceId, deviceKeys);
    if (oneTimeKeys.length + fallbackKeys.length === 0) {
      return (await keySupplyOf(this.#db, userId, deviceId)).counts;
    }
    const supply = await this.#db.transaction(async (tx) => {
      // Two uploads at the same moment would both find room.
      await lockDevice(tx, userId, deviceId);
      if (oneTimeKeys.length > 0) await addOneTimeKeys(tx, userId, deviceId, oneTimeKeys);
      if (fallbackKeys.length > 0) await putFallbackKeys(tx, userId, deviceId, fallbackKeys);
      const after = await keySupplyOf(tx, userId, deviceId);
      checkSupply(after);
      return after;
    });
    await this.#changed([keyOfDevice(userId, deviceId)]);
    return supply.counts;
  }

  /**
   * One key for each claim, as far as there are any: one-time keys first, then fallback keys. Whoever
   * has had too many of a device gets its fallback key.
   */
  async claim(claimant: Claimant, claims: readonly KeyClaim[]): Promise<ClaimedKey[]> {
    if (claims.length === 0) return [];
    const admitted = [...(await this.#claimLimits.admit(claimant, claims))];
    const claimed = await this.#db.transaction(async (tx) => {
      const taken = admitted.length === 0 ? [] : await takeOneTimeKeys(tx, admitted);
      const served = new Set(taken.map(({ userId, deviceId }) => keyOfDevice(userId, deviceId)));
      const others = claims.filter(
        ({ userId, deviceId }) => !served.has(keyOfDevice(userId, deviceId)),
      );
      return others.length === 0 ? taken : [...taken, ...(await useFallbackKeys(tx, others))];
    });
    await this.#changed(claimed.map(({ userId, deviceId }) => keyOfDevice(userId, deviceId)));
    return claimed;
  }

  /** At once when it is in memory. */
  supply(userId: UserId, deviceId: DeviceId): KeySupplyJson | Promise<KeySupplyJson> {
    return this.#supplies.get(keyOfDevice(userId, deviceId));
  }

  /** The devices are gone, and their keys. */
  forget(userId: UserId, deviceIds: readonly string[]): void {
    // Where that is not heard of it is forgotten with the log's next reset.
    this.#changed(deviceIds.map((deviceId) => keyOfDevice(userId, deviceId)))?.catch(() => {});
  }

  reset(): void {
    this.#supplies.clear();
  }

  /** Every process reads the supplies of these devices again. */
  #changed(keys: readonly string[]): Promise<void> | undefined {
    return keys.length === 0 ? undefined : this.#broadcast.tell('device keys', keys);
  }

  async #putDeviceKeys(userId: UserId, deviceId: DeviceId, keys: JsonObject): Promise<void> {
    const { unsigned: _unsigned, signatures, ...rest } = keys;
    const own = (signatures as JsonObject)[userId];
    const json = lenientCanonicalJson({
      ...rest,
      signatures: own === undefined ? {} : { [userId]: own },
    });
    const [known] = await devicesWithKeys(this.#db, new Map([[userId, [deviceId]]]));
    if (known?.keys === json) return;
    await this.#lists.change(userId, [deviceId], 'everyone', [
      deviceKeysUpsert(userId, deviceId, json),
    ]);
  }

  /** A one-time key may be uploaded again, as long as it is the same. */
  async #checkUnchanged(
    userId: UserId,
    deviceId: DeviceId,
    keys: readonly AlgorithmKey[],
  ): Promise<void> {
    const uploaded = new Map(
      keys.map(({ algorithm, keyId, key }) => [`${algorithm}:${keyId}`, key]),
    );
    for (const { algorithm, keyId, key } of await oneTimeKeysAmong(
      this.#db,
      userId,
      deviceId,
      keys,
    )) {
      if (uploaded.get(`${algorithm}:${keyId}`) !== key) {
        throw matrixError(
          'M_INVALID_PARAM',
          `There is another one-time key ${algorithm}:${keyId} already`,
        );
      }
    }
  }
}

const checkDeviceKeys = (keys: JsonObject, userId: UserId, deviceId: DeviceId): void => {
  const { algorithms, keys: publicKeys, signatures } = keys;
  if (!Array.isArray(algorithms) || !isObject(publicKeys) || !isObject(signatures)) {
    throw matrixError('M_BAD_JSON', 'Device keys have algorithms, keys and signatures');
  }
  if (keys['user_id'] !== userId || keys['device_id'] !== deviceId) {
    throw matrixError('M_INVALID_PARAM', 'The keys are not of the device that uploads them');
  }
  let json: string;
  try {
    json = canonicalJson(keys);
  } catch (error) {
    if (!(error instanceof CanonicalJsonError)) throw error;
    // They are signed, and travel in what is: both take numbers that every server writes alike.
    throw matrixError('M_BAD_JSON', `Device keys: ${error.message}`);
  }
  if (!fitsInBytes(json, maxDeviceKeysBytes)) {
    throw matrixError('M_INVALID_PARAM', `Device keys may have ${maxDeviceKeysBytes} bytes`);
  }
};

/** What is given out first is the oldest: of too many, the newest would lie there for ever. */
const checkSupply = ({ counts, fallbackTypes }: KeySupply): void => {
  const kept = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (kept > limits.count) {
    const message = `A device has at most ${limits.count} one-time keys`;
    throw matrixError('M_RESOURCE_LIMIT_EXCEEDED', message);
  }
  if (Math.max(Object.keys(counts).length, fallbackTypes) > limits.algorithms) {
    const message = `A device has keys for at most ${limits.algorithms} algorithms`;
    throw matrixError('M_RESOURCE_LIMIT_EXCEEDED', message);
  }
};

const isName = (text: string): boolean =>
  text !== '' &&
  fitsInBytes(text, maxNameBytes) &&
  isWellFormedText(text) &&
  !text.includes('\u0000');

const namedKeys = (keys: JsonObject | undefined): AlgorithmKey[] => {
  const entries = Object.entries(keys ?? {});
  if (entries.length > limits.count) {
    throw matrixError('M_INVALID_PARAM', `At most ${limits.count} keys can be uploaded at once`);
  }
  return entries.map(([name, value]) => {
    const colon = name.indexOf(':');
    const algorithm = name.slice(0, Math.max(colon, 0));
    const keyId = name.slice(colon + 1);
    if (!isName(algorithm) || !isName(keyId)) {
      throw matrixError('M_INVALID_PARAM', 'A key is named by its algorithm, a colon and an id');
    }
    if (!isKey(value)) {
      throw matrixError('M_INVALID_PARAM', `${name} is not a key`);
    }
    return { algorithm, keyId, key: lenientCanonicalJson(value as JsonValue) };
  });
};

const isKey = (value: JsonValue | undefined): boolean =>
  (typeof value === 'string' || (isObject(value) && typeof value['key'] === 'string')) &&
  fitsInBytes(JSON.stringify(value), limits.bytesEach);

/** The last one counts. */
const onePerAlgorithm = (keys: readonly AlgorithmKey[]): AlgorithmKey[] => [
  ...new Map(keys.map((key) => [key.algorithm, key])).values(),
];
