/**
 * Devices and the tokens that speak for them: logging in, refreshing, recognising, revoking.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
 */
import { matrixError } from '../../spec/errors.ts';
import { type DeviceId, isDeviceId, type UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { inBatches } from '../in-batches.ts';
import type { Random } from '../random.ts';
import {
  deleteTokensOfDevices,
  deleteUnusedTokens,
  insertAccessToken,
  insertRefreshToken,
  ownerOfRefreshToken,
  ownerOfToken,
  ownersOfTokens,
  settleRefresh,
  type TokenOwner,
} from '../storage/access-tokens.ts';
import type { Database, Tx } from '../storage/database.ts';
import {
  deleteDevices,
  devicesBeyond,
  devicesOf,
  ensureDevice,
  lockDevice,
} from '../storage/devices.ts';
import type { AccountNews } from './account-news.ts';
import { clientDataLimits } from './client-data-limits.ts';
import { assertNotLocked } from './credentials.ts';
import type { DeviceRequester } from './requester.ts';
import { newSecret, readableText, secretHash } from './secrets.ts';
import type { CachedToken, TokenCache } from './token-cache.ts';

/** What else hangs on a device: its keys, its pushers, its messages. */
export interface DeviceListener {
  /** In the transaction that makes the device. */
  deviceCreated(tx: Tx, userId: UserId, deviceId: DeviceId): Promise<void>;
  /** In the transaction that gives it another display name. */
  deviceRenamed?(tx: Tx, userId: UserId, deviceId: DeviceId): Promise<void>;
  /** In the transaction that deletes them. */
  devicesDeleted(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void>;
  /** Another process has changed accounts, and may have left what follows from it to this one. */
  changedElsewhere?(): void;
}

export interface NewSession {
  readonly userId: UserId;
  /** A new one unless given. */
  readonly deviceId?: string | undefined;
  readonly displayName?: string | undefined;
  /** Whether the client can refresh: its access token then expires. */
  readonly refreshable?: boolean | undefined;
}

export interface SessionTokens {
  readonly deviceId: DeviceId;
  readonly accessToken: string;
  readonly refreshToken?: string;
  readonly expiresInMs?: number;
}

export interface SessionsOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly cache: TokenCache;
  readonly news: Pick<AccountNews, 'announceTokens'>;
  /** Of the access tokens of clients that can refresh. */
  readonly accessTokenLifetimeMs: number;
  readonly deviceListeners: readonly DeviceListener[];
}

const MAX_DISPLAY_NAME = 100;
const NEW_DEVICE_ID_LENGTH = 10;
/** How long memory is believed: what another process changed is seen after this at the latest. */
const TRUSTED_MS = 60_000;

/** Display names of devices are shown, not used: a long one is cut. */
export const deviceDisplayName = (text: string): string => text.slice(0, MAX_DISPLAY_NAME);

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/**
 * Device ids stand in logs, lists and pages of clients: a new one holds nothing that ends a line
 * there. Throws `M_INVALID_PARAM`.
 */
export function assertNewDeviceId(deviceId: string): asserts deviceId is DeviceId {
  if (isDeviceId(deviceId) && !CONTROL.test(deviceId)) return;
  throw matrixError(
    'M_INVALID_PARAM',
    'A device id has 1 to 255 bytes, none of them a control character',
  );
}

const unknownRefreshToken = () =>
  matrixError('M_UNKNOWN_TOKEN', 'Unknown refresh token', { soft_logout: true });

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #ownerOf: (tokenHash: string) => Promise<TokenOwner | undefined>;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#ownerOf = inBatches((hashes) => ownersOfTokens(options.database, hashes));
  }

  /**
   * Gives the user a device, or the one they name back, with new tokens; tokens the device had are
   * revoked. Throws `M_INVALID_PARAM` for a device id that cannot be one.
   */
  async open(tx: Tx, session: NewSession): Promise<SessionTokens> {
    const { clock, random } = this.#options;
    const { userId } = session;
    const deviceId = session.deviceId ?? readableText(random, NEW_DEVICE_ID_LENGTH).toUpperCase();
    assertNewDeviceId(deviceId);
    const displayName = session.displayName && deviceDisplayName(session.displayName);
    if (await ensureDevice(tx, userId, deviceId, displayName, clock.nowMs())) {
      await this.deviceMade(tx, userId, deviceId);
    } else {
      await lockDevice(tx, userId, deviceId);
      await deleteTokensOfDevices(tx, userId, [deviceId]);
      await this.#revoked(tx, userId, [deviceId]);
    }
    return this.#issue(tx, userId, deviceId, session.refreshable ?? false, false);
  }

  /** A device has been made: those hear of it that listen, and one too many goes. */
  async deviceMade(tx: Tx, userId: UserId, deviceId: DeviceId): Promise<void> {
    for (const listener of this.#options.deviceListeners) {
      await listener.deviceCreated(tx, userId, deviceId);
    }
    const others = clientDataLimits.devices - 1;
    await this.close(tx, userId, await devicesBeyond(tx, userId, deviceId, others));
  }

  async #issue(
    tx: Tx,
    userId: UserId,
    deviceId: DeviceId,
    refreshable: boolean,
    unused: boolean,
  ): Promise<SessionTokens> {
    const { clock, random, accessTokenLifetimeMs } = this.#options;
    const createdAtMs = clock.nowMs();
    const accessToken = newSecret(random, 'access');
    const common = { userId, deviceId, createdAtMs, unused };
    await insertAccessToken(tx, {
      ...common,
      tokenHash: secretHash(accessToken),
      expiresAtMs: refreshable ? createdAtMs + accessTokenLifetimeMs : undefined,
    });
    if (!refreshable) return { deviceId, accessToken };
    const refreshToken = newSecret(random, 'refresh');
    await insertRefreshToken(tx, { ...common, tokenHash: secretHash(refreshToken) });
    return { deviceId, accessToken, refreshToken, expiresInMs: accessTokenLifetimeMs };
  }

  /**
   * New tokens for a refresh token. The old ones stay valid until one of the new is used, so that a
   * client which lost the answer can ask again. Throws `M_UNKNOWN_TOKEN`.
   */
  refresh(refreshToken: string): Promise<SessionTokens> {
    const { database } = this.#options;
    const tokenHash = secretHash(refreshToken);
    return database.transaction(async (tx) => {
      const found = await ownerOfRefreshToken(tx, tokenHash);
      if (found === undefined) throw unknownRefreshToken();
      const { userId, deviceId } = found;
      await lockDevice(tx, userId, deviceId);
      const owner = await ownerOfRefreshToken(tx, tokenHash);
      if (owner === undefined) throw unknownRefreshToken();
      assertNotLocked(owner);
      if (owner.unused) {
        await settleRefresh(tx, userId, deviceId);
        await this.#revoked(tx, userId, [deviceId]);
      } else {
        await deleteUnusedTokens(tx, userId, deviceId);
      }
      return this.#issue(tx, userId, deviceId, true, true);
    });
  }

  /**
   * Whom an access token speaks for: at once from memory where it is known there; `undefined` when
   * nobody. @throws MatrixError M_UNKNOWN_TOKEN with `soft_logout` when the token has expired
   */
  recognise(
    accessToken: string,
  ): DeviceRequester | undefined | Promise<DeviceRequester | undefined> {
    const { cache, clock } = this.#options;
    const token = cache.get(accessToken);
    return token === undefined || clock.nowMs() - token.readAtMs >= TRUSTED_MS
      ? this.#read(accessToken).then((read) => this.#unexpired(read))
      : this.#unexpired(token);
  }

  #unexpired(token: CachedToken | undefined): DeviceRequester | undefined {
    if (token?.expiresAtMs !== undefined && token.expiresAtMs <= this.#options.clock.nowMs()) {
      throw matrixError('M_UNKNOWN_TOKEN', 'The access token has expired', { soft_logout: true });
    }
    return token?.requester;
  }

  async #read(accessToken: string): Promise<CachedToken | undefined> {
    const { cache, database, clock } = this.#options;
    const { generation } = cache;
    const tokenHash = secretHash(accessToken);
    const owner = await this.#ownerOf(tokenHash);
    if (owner === undefined) {
      cache.drop(accessToken);
      return undefined;
    }
    if (owner.unused) {
      const { userId, deviceId } = owner;
      await database.transaction(async (tx) => {
        await lockDevice(tx, userId, deviceId);
        if ((await ownerOfToken(tx, tokenHash))?.unused !== true) return;
        await settleRefresh(tx, userId, deviceId);
        await this.#revoked(tx, userId, [deviceId]);
      });
      return this.#read(accessToken);
    }
    const token: CachedToken = {
      requester: {
        userId: owner.userId,
        deviceId: owner.deviceId,
        isAdmin: owner.isAdmin,
        isGuest: owner.isGuest,
        locked: owner.locked,
        suspended: owner.suspended,
        appserviceId: undefined,
        rateLimited: true,
      },
      expiresAtMs: owner.expiresAtMs,
      readAtMs: clock.nowMs(),
    };
    cache.set(accessToken, token, generation);
    return token;
  }

  /** Deletes devices with all that hangs on them. Devices that do not exist are passed over. */
  async close(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    const { deviceListeners } = this.#options;
    if (deviceIds.length === 0) return;
    const deleted = await deleteDevices(tx, userId, deviceIds);
    await deleteTokensOfDevices(tx, userId, deviceIds);
    for (const listener of deviceListeners) await listener.devicesDeleted(tx, userId, deleted);
    await this.#revoked(tx, userId, deviceIds);
  }

  /** Closes every session, except of one device where given. */
  async closeAll(tx: Tx, userId: UserId, exceptDeviceId?: DeviceId): Promise<void> {
    const devices = await devicesOf(tx, userId);
    const others = devices.map(({ deviceId }) => deviceId).filter((id) => id !== exceptDeviceId);
    await this.close(tx, userId, others);
  }

  /** Once this is committed no process knows the tokens of these devices any more. */
  async #revoked(tx: Tx, userId: UserId, deviceIds: readonly DeviceId[]): Promise<void> {
    const { cache, news } = this.#options;
    tx.onCommit(() => cache.changed({ userId, deviceIds }));
    await news.announceTokens(tx, userId);
  }

  /** When flags of the account changed that tokens carry in memory. */
  accountChanged(userId: UserId): void {
    this.#options.cache.changed({ userId, deviceIds: undefined });
  }
}
