/**
 * Identity keys and cross-signing keys as others may see them, with the signatures they may see.
 * https://spec.matrix.org/v1.19/client-server-api/#key-and-signature-security
 */
import { emptyRecord } from '../../spec/empty-record.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { withSignature } from '../../spec/signing.ts';
import {
  type CrossSigningKeyRow,
  crossSigningKeysOf,
  type KeySignature,
  visibleSignatures,
} from '../storage/cross-signing.ts';
import type { Db } from '../storage/database.ts';
import { accountsAmong, type DeviceWithKeys, devicesWithKeys } from '../storage/device-keys.ts';
import { devicesPosOf } from '../storage/device-lists.ts';
import { remoteDevicesOf } from '../storage/remote-devices.ts';
import { KeyAnswerBudget } from './key-answer-budget.ts';

export type ByUser = Record<string, JsonObject>;

/** The parts of an answer to a query, in the names of the wire. */
export interface PublishedKeys {
  /** By user, then by device. */
  readonly device_keys: Record<string, Record<string, JsonObject>>;
  readonly master_keys: ByUser;
  readonly self_signing_keys: ByUser;
  readonly user_signing_keys: ByUser;
}

/** Devices wanted of each user: all of them where the list is empty. */
export type WantedDevices = ReadonlyMap<UserId, readonly string[]>;

/** By `user id, space, what is signed`. */
export type SignaturesByTarget = ReadonlyMap<string, readonly KeySignature[]>;

export const withSignatures = (
  key: JsonObject,
  signatures: readonly KeySignature[] | undefined,
): JsonObject => {
  if (signatures === undefined) return key;
  type Signatures = Parameters<typeof withSignature>[0];
  let all = key['signatures'] as Signatures;
  for (const { signerId, signingKeyId, signature } of signatures) {
    all = withSignature(all, signerId, signingKeyId, signature);
  }
  return { ...key, signatures: all as JsonObject };
};

export class KeyDirectory {
  readonly #db: Db;
  readonly #showsNames: boolean;

  /** `showsNames`: whether people are told what the devices of others are called. */
  constructor(db: Db, { showsNames }: { readonly showsNames: boolean }) {
    this.#db = db;
    this.#showsNames = showsNames;
  }

  /**
   * Of this server's users. Without a viewer, as other servers see them. Users who do not exist are
   * left out; those without devices have an empty entry.
   */
  async local(wanted: WantedDevices, viewer: UserId | undefined): Promise<PublishedKeys> {
    if (wanted.size === 0) return emptyAnswer();
    const devices = await devicesWithKeys(this.#db, wanted);
    const accounts = await accountsAmong(this.#db, [...wanted.keys()]);
    return this.#publish(accounts, this.namedFor(viewer, devices), viewer);
  }

  /** A new answer's bounds. */
  budget(): KeyAnswerBudget {
    return new KeyAnswerBudget(this.#db);
  }

  /** What another server asks for. @throws MatrixError M_TOO_LARGE when it asks for too much at once */
  async forServer(wanted: WantedDevices): Promise<PublishedKeys> {
    const { size } = await this.budget().takeStored([...wanted.keys()]);
    if (size > 0) throw matrixError('M_TOO_LARGE', `${leftOutText(size)}: ask for fewer at once`);
    return this.local(wanted, undefined);
  }

  /** Of other servers' users, as far as it is known here. */
  async remote(wanted: WantedDevices, viewer: UserId): Promise<PublishedKeys> {
    if (wanted.size === 0) return emptyAnswer();
    const devices = await remoteDevicesOf(this.#db, [...wanted.keys()]);
    const shown = devices.filter(({ userId, deviceId }) => {
      const ids = wanted.get(userId) ?? [];
      return ids.length === 0 || ids.includes(deviceId);
    });
    return this.#publish([...wanted.keys()], shown, viewer);
  }

  /** Devices of this server's users, without the names that a viewer (or other servers) may not see. */
  namedFor<D extends Pick<DeviceWithKeys, 'userId' | 'displayName'>>(
    viewer: UserId | undefined,
    devices: readonly D[],
  ): readonly D[] {
    if (this.#showsNames) return devices;
    return devices.map((device) =>
      device.userId === viewer ? device : { ...device, displayName: undefined },
    );
  }

  /** For other servers; undefined where there is no such user. */
  async deviceListOf(userId: UserId) {
    // First: a change made meanwhile is then sent again, and not taken for known.
    const streamId = await devicesPosOf(this.#db, userId);
    const answer = await this.local(new Map([[userId, []]]), undefined);
    const devices = answer.device_keys[userId];
    if (devices === undefined) return undefined;
    return {
      user_id: userId,
      stream_id: streamId,
      devices: Object.entries(devices).map(([deviceId, { unsigned, ...keys }]) => ({
        device_id: deviceId,
        keys,
        ...(unsigned as JsonObject),
      })),
      ...signingKeysIn(answer, userId),
    };
  }

  /** What others see of a user's cross-signing keys, in the names of federation. */
  async signingKeysOf(
    userId: UserId,
  ): Promise<{ master_key?: JsonObject; self_signing_key?: JsonObject }> {
    return signingKeysIn(await this.#publish([userId], [], undefined), userId);
  }

  /** Signatures on these users' keys that a viewer may see. */
  async signaturesOn(
    userIds: readonly UserId[],
    viewer: UserId | undefined,
  ): Promise<SignaturesByTarget> {
    const byTarget = new Map<string, KeySignature[]>();
    for (const signature of await visibleSignatures(this.#db, userIds, viewer)) {
      const key = `${signature.userId} ${signature.target}`;
      const known = byTarget.get(key);
      if (known === undefined) byTarget.set(key, [signature]);
      else known.push(signature);
    }
    return byTarget;
  }

  async #publish(
    userIds: readonly UserId[],
    devices: readonly DeviceWithKeys[],
    viewer: UserId | undefined,
  ): Promise<PublishedKeys> {
    const answer = emptyAnswer();
    const signatures = await this.signaturesOn(userIds, viewer);
    for (const userId of userIds) answer.device_keys[userId] = emptyRecord();
    for (const { userId, deviceId, keys, displayName } of devices) {
      const stored = JSON.parse(keys) as JsonObject;
      const ofUser = answer.device_keys[userId] ?? emptyRecord<JsonObject>();
      ofUser[deviceId] = {
        ...withSignatures(stored, signatures.get(`${userId} ${deviceId}`)),
        unsigned: displayName === undefined ? {} : { device_display_name: displayName },
      };
      answer.device_keys[userId] = ofUser;
    }
    for (const row of await crossSigningKeysOf(this.#db, userIds)) {
      const key = withSignatures(
        JSON.parse(row.key) as JsonObject,
        signatures.get(`${row.userId} ${row.publicKey}`),
      );
      const part = partFor(answer, row, viewer);
      if (part !== undefined) part[row.userId] = key;
    }
    return answer;
  }
}

/** What is said of people who are left out. */
export const leftOutText = (count: number): string =>
  `The keys of ${count} more users do not fit into one answer`;

const signingKeysIn = (
  { master_keys, self_signing_keys }: PublishedKeys,
  userId: UserId,
): { master_key?: JsonObject; self_signing_key?: JsonObject } => {
  const master = master_keys[userId];
  const selfSigning = self_signing_keys[userId];
  return {
    ...(master !== undefined && { master_key: master }),
    ...(selfSigning !== undefined && { self_signing_key: selfSigning }),
  };
};

const partFor = (
  answer: PublishedKeys,
  { userId, usage }: CrossSigningKeyRow,
  viewer: UserId | undefined,
): ByUser | undefined => {
  if (usage === 'master') return answer.master_keys;
  if (usage === 'self_signing') return answer.self_signing_keys;
  return userId === viewer ? answer.user_signing_keys : undefined;
};

export const emptyAnswer = (): PublishedKeys => ({
  device_keys: emptyRecord(),
  master_keys: emptyRecord(),
  self_signing_keys: emptyRecord(),
  user_signing_keys: emptyRecord(),
});
