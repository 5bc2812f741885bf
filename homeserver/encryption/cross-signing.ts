/**
 * A person's cross-signing keys, and the signatures they make with them.
 * https://spec.matrix.org/v1.19/client-server-api/#cross-signing
 */

import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { emptyRecord } from '../../spec/empty-record.ts';
import { MatrixError, matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { verifySignedJson } from '../../spec/signing.ts';
import {
  type CrossSigningKeyRow,
  type CrossSigningUsage,
  crossSigningKeysOf,
  crossSigningKeyUpserts,
  crossSigningUsages,
  type KeySignature,
  signatureUpserts,
} from '../storage/cross-signing.ts';
import type { Database } from '../storage/database.ts';
import { devicesWithKeys } from '../storage/device-keys.ts';
import { devicesOf } from '../storage/devices.ts';
import { crossSigningKeyIn } from './cross-signing-key.ts';
import type { DeviceLists } from './device-lists.ts';
import { isObject } from './remote-keys.ts';

export interface CrossSigningDeps {
  readonly db: Database;
  readonly deviceLists: DeviceLists;
}

/** Checked keys, ready to be stored. */
export interface KeySet {
  readonly keys: readonly CrossSigningKeyRow[];
  /** Whether the user has to prove anew who they are before these are stored. */
  readonly needsProof: boolean;
}

/** By user, then by key id. */
export type SignatureFailures = Record<string, Record<string, JsonObject>>;

const names: Record<CrossSigningUsage, string> = {
  master: 'master_key',
  self_signing: 'self_signing_key',
  user_signing: 'user_signing_key',
};
const maxSignedKeys = 1000;

export class CrossSigning {
  readonly #deps: CrossSigningDeps;

  constructor(deps: CrossSigningDeps) {
    this.#deps = deps;
  }

  /** @throws MatrixError M_INVALID_PARAM, M_INVALID_SIGNATURE, M_MISSING_PARAM, M_FORBIDDEN */
  async check(userId: UserId, body: JsonObject): Promise<KeySet> {
    const { db } = this.#deps;
    const keys = crossSigningUsages.flatMap((usage) => {
      const value = body[names[usage]];
      if (value === undefined) return [];
      const key = crossSigningKeyIn(value, userId, usage);
      if (key === undefined) {
        throw matrixError('M_INVALID_PARAM', `${names[usage]} is not a ${usage} key of yours`);
      }
      return [key];
    });
    const known = await crossSigningKeysOf(db, [userId]);
    const master = [...keys, ...known].find(({ usage }) => usage === 'master');
    if (master === undefined) throw matrixError('M_MISSING_PARAM', 'There is no master key');
    for (const { usage, json } of keys) {
      const keyId = `ed25519:${master.publicKey}`;
      if (usage !== 'master' && !verifySignedJson(json, userId, keyId, master.publicKey)) {
        throw matrixError(
          'M_INVALID_SIGNATURE',
          `The ${usage} key is not signed by the master key`,
        );
      }
    }
    const publicKeys = new Set<string>(keys.map(({ publicKey }) => publicKey));
    if ((await devicesOf(db, userId)).some(({ deviceId }) => publicKeys.has(deviceId))) {
      throw matrixError('M_FORBIDDEN', 'A device has the id of one of these keys');
    }
    const hasMaster = known.some(({ usage }) => usage === 'master');
    const isNew = keys.some(
      (key) =>
        !known.some(({ usage, publicKey }) => usage === key.usage && publicKey === key.publicKey),
    );
    return { keys, needsProof: hasMaster && isNew };
  }

  async store(userId: UserId, { keys }: KeySet): Promise<void> {
    const { db, deviceLists } = this.#deps;
    const known = await crossSigningKeysOf(db, [userId]);
    const news = keys.filter(
      (key) => !known.some((other) => other.usage === key.usage && other.key === key.key),
    );
    if (news.length === 0) return;
    const isPublic = news.some(({ usage }) => usage !== 'user_signing');
    await deviceLists.change(
      userId,
      [''],
      isPublic ? 'everyone' : 'self',
      crossSigningKeyUpserts(news),
    );
  }

  /**
   * Adds signatures to keys: of one's own devices and master key, and of others' master keys.
   * @returns what could not be added, and why
   */
  async sign(signerId: UserId, signed: JsonObject): Promise<SignatureFailures> {
    const { deviceLists } = this.#deps;
    const failures: SignatureFailures = emptyRecord();
    const accepted: KeySignature[] = [];
    const entries = Object.entries(signed).flatMap(([userId, keys]) =>
      Object.entries(isObject(keys) ? keys : {}).map(([target, key]) => ({
        userId: userId as UserId,
        target,
        key,
      })),
    );
    if (entries.length > maxSignedKeys) {
      throw matrixError('M_INVALID_PARAM', `At most ${maxSignedKeys} keys can be signed at once`);
    }
    const known = await this.#knownKeys(signerId, entries);
    for (const { userId, target, key } of entries) {
      try {
        accepted.push(...this.#check(signerId, userId, target, key, known));
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
        failures[userId] = { ...failures[userId], [target]: error.toJSON() };
      }
    }
    const [own, others] = [
      accepted.filter(({ userId }) => userId === signerId),
      accepted.filter(({ userId }) => userId !== signerId),
    ];
    if (own.length > 0) {
      const devices = new Set(
        own.map(({ target }) => (known.isDevice(signerId, target) ? target : '')),
      );
      await deviceLists.change(signerId, [...devices], 'everyone', signatureUpserts(own));
    }
    if (others.length > 0) {
      // Nobody else sees whom one has verified.
      const signedUsers = [...new Set(others.map(({ userId }) => userId))];
      await deviceLists.changeForViewer(signerId, signedUsers, signatureUpserts(others));
    }
    return failures;
  }

  async #knownKeys(
    signerId: UserId,
    entries: readonly { readonly userId: UserId; readonly target: string }[],
  ): Promise<KnownKeys> {
    const { db } = this.#deps;
    const users = [...new Set([signerId, ...entries.map(({ userId }) => userId)])];
    const crossSigning = await crossSigningKeysOf(db, users);
    const devices = await devicesWithKeys(db, new Map([[signerId, []]]));
    return new KnownKeys(
      crossSigning,
      new Map(devices.map(({ deviceId, keys }) => [deviceId, JSON.parse(keys) as JsonObject])),
      signerId,
    );
  }

  #check(
    signerId: UserId,
    userId: UserId,
    target: string,
    key: unknown,
    known: KnownKeys,
  ): KeySignature[] {
    const stored = known.keyToSign(userId, target);
    if (stored === undefined) throw matrixError('M_NOT_FOUND', 'There is no such key');
    if (!isObject(key) || signedPartOf(key) !== signedPartOf(stored)) {
      throw matrixError('M_INVALID_PARAM', 'The key is not the one that is known');
    }
    const signatures = isObject(key['signatures']) ? key['signatures'][signerId] : undefined;
    if (!isObject(signatures) || Object.keys(signatures).length === 0) {
      throw matrixError('M_INVALID_SIGNATURE', 'There is no signature of yours');
    }
    const made: KeySignature[] = [];
    for (const [signingKeyId, signature] of Object.entries(signatures)) {
      const publicKey = known.signingKey(signerId, userId, target, signingKeyId);
      if (
        publicKey === undefined ||
        typeof signature !== 'string' ||
        !verifySignedJson(key, signerId, signingKeyId, publicKey)
      ) {
        throw matrixError('M_INVALID_SIGNATURE', `The signature ${signingKeyId} is not right`);
      }
      made.push({ userId, target, signerId, signingKeyId, signature });
    }
    return made;
  }
}

/** The keys that may be signed here, and those that may sign. */
class KnownKeys {
  readonly #crossSigning: readonly CrossSigningKeyRow[];
  readonly #devices: ReadonlyMap<string, JsonObject>;
  readonly #signerId: UserId;

  constructor(
    crossSigning: readonly CrossSigningKeyRow[],
    devices: ReadonlyMap<string, JsonObject>,
    signerId: UserId,
  ) {
    this.#crossSigning = crossSigning;
    this.#devices = devices;
    this.#signerId = signerId;
  }

  isDevice(userId: UserId, target: string): boolean {
    return userId === this.#signerId && this.#devices.has(target);
  }

  keyToSign(userId: UserId, target: string): JsonObject | undefined {
    if (this.isDevice(userId, target)) return this.#devices.get(target);
    const master = this.#publicKey(userId, 'master');
    return master?.publicKey === target ? (JSON.parse(master.key) as JsonObject) : undefined;
  }

  /** The public part of a key with which this signer may sign this key. */
  signingKey(
    signerId: UserId,
    userId: UserId,
    target: string,
    signingKeyId: string,
  ): string | undefined {
    const isOwn = signerId === userId;
    const usage = isOwn ? 'self_signing' : 'user_signing';
    if (isOwn && !this.isDevice(userId, target)) {
      // One's own master key is signed by one's devices.
      const deviceId = signingKeyId.slice('ed25519:'.length);
      const keys = this.#devices.get(deviceId)?.['keys'];
      const publicKey = isObject(keys) ? keys[signingKeyId] : undefined;
      return typeof publicKey === 'string' ? publicKey : undefined;
    }
    const key = this.#publicKey(signerId, usage);
    return key !== undefined && signingKeyId === `ed25519:${key.publicKey}`
      ? key.publicKey
      : undefined;
  }

  #publicKey(userId: UserId, usage: CrossSigningUsage): CrossSigningKeyRow | undefined {
    return this.#crossSigning.find((key) => key.userId === userId && key.usage === usage);
  }
}

const signedPartOf = (key: JsonObject): string => {
  const { signatures: _signatures, unsigned: _unsigned, ...signed } = key;
  return lenientCanonicalJson(signed);
};
