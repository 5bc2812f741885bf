/**
 * Changing a password, and the end of an account.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#legacy-account-management
 */
import type { Logger } from 'pino';
import { matrixError } from '../../spec/errors.ts';
import type { DeviceId, UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import { deleteLoginTokensOf } from '../storage/access-tokens.ts';
import type { Database } from '../storage/database.ts';
import { eraseOwnData } from '../storage/erasure.ts';
import { deleteLoginAddressesOf } from '../storage/login-addresses.ts';
import { deleteThreepidsOf } from '../storage/threepids.ts';
import {
  departingUsers,
  lockUser,
  markDeactivated,
  markDeparted,
  setPasswordHash,
  setUserFlags,
} from '../storage/users.ts';
import type { AccountNews } from './account-news.ts';
import type { PassedUia } from './interactive-auth.ts';
import type { Passwords } from './passwords.ts';
import type { Sessions } from './sessions.ts';

/** Takes a deactivated user out of the rest of the server. */
export interface DepartureListener {
  /** Leaves every room, and with `erase` deletes account data. Safe to repeat. */
  depart(userId: UserId, options: { readonly erase: boolean }): Promise<void>;
}

export interface AccountChangesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly passwords: Passwords;
  readonly sessions: Sessions;
  /** Where other processes hear of what is changed here. */
  readonly news: Pick<AccountNews, 'announce'>;
}

const DEPARTURES_AT_ONCE = 100;

export class AccountChanges {
  readonly #options: AccountChangesOptions;
  readonly #departureListeners: DepartureListener[] = [];

  constructor(options: AccountChangesOptions) {
    this.#options = options;
  }

  onDeparture(listener: DepartureListener): void {
    this.#departureListeners.push(listener);
  }

  /**
   * `keepDeviceId` is the device that asks: its session goes on. Throws `M_WEAK_PASSWORD`, and
   * `M_NOT_FOUND` when there is no such active account.
   */
  async setPassword(
    userId: UserId,
    password: string,
    options: {
      logoutDevices: boolean;
      keepDeviceId?: DeviceId | undefined;
      passed?: PassedUia;
      ip?: string;
    },
  ): Promise<void> {
    const { database, passwords, sessions } = this.#options;
    passwords.checkNew(password);
    const passwordHash = await passwords.hash(password, options.ip);
    await database.transaction(async (tx) => {
      await options.passed?.finish(tx);
      if (!(await setPasswordHash(tx, userId, passwordHash))) {
        throw matrixError('M_NOT_FOUND', 'There is no such account');
      }
      await deleteLoginTokensOf(tx, userId);
      if (options.logoutDevices) await sessions.closeAll(tx, userId, options.keepDeviceId);
      await this.#options.news.announce(tx, userId);
    });
  }

  /** Nobody logs in to the account again, and nobody gets its name. Safe to repeat. */
  async deactivate(
    userId: UserId,
    { erase, passed }: { erase: boolean; passed?: PassedUia },
  ): Promise<void> {
    const { database, clock, sessions } = this.#options;
    await database.transaction(async (tx) => {
      await passed?.finish(tx);
      await markDeactivated(tx, userId, erase, clock.nowMs());
      await deleteLoginTokensOf(tx, userId);
      await deleteLoginAddressesOf(tx, userId);
      await deleteThreepidsOf(tx, userId);
      if (erase) await eraseOwnData(tx, userId);
      await sessions.closeAll(tx, userId);
      await this.#options.news.announce(tx, userId);
      tx.onCommit(() => sessions.accountChanged(userId));
    });
    await this.#depart(userId, erase);
  }

  /** Where nobody can take the user out of rooms, the running server or the next one does it. */
  async #depart(userId: UserId, erase: boolean): Promise<void> {
    if (this.#departureListeners.length === 0) return;
    for (const listener of this.#departureListeners) await listener.depart(userId, { erase });
    await this.#options.database.transaction((tx) => markDeparted(tx, userId));
  }

  /** At start: finishes the departures that a stop or a failure cut short. */
  async resumeDepartures(): Promise<void> {
    const { database, logger } = this.#options;
    for (const { userId, erased } of await departingUsers(database, DEPARTURES_AT_ONCE)) {
      await this.#depart(userId, erased).catch((error: unknown) => {
        logger.error({ err: error, userId }, 'a deactivated user could not leave their rooms');
      });
    }
  }

  /** Ends every session of an account, or that of one device. Throws `M_NOT_FOUND`. */
  async logOut(userId: UserId, deviceId?: DeviceId): Promise<void> {
    const { database, sessions } = this.#options;
    await database.transaction(async (tx) => {
      if ((await lockUser(tx, userId)) === undefined) {
        throw matrixError('M_NOT_FOUND', 'There is no such account');
      }
      if (deviceId === undefined) await sessions.closeAll(tx, userId);
      else await sessions.close(tx, userId, [deviceId]);
      await this.#options.news.announce(tx, userId);
    });
  }

  /** `undefined` leaves a flag as it is. Throws `M_NOT_FOUND`. */
  async setFlags(
    userId: UserId,
    flags: { isAdmin?: boolean; locked?: boolean; suspended?: boolean },
  ): Promise<void> {
    const { database, sessions } = this.#options;
    await database.transaction(async (tx) => {
      if (!(await setUserFlags(tx, userId, flags))) {
        throw matrixError('M_NOT_FOUND', 'There is no such account');
      }
      await this.#options.news.announce(tx, userId);
      tx.onCommit(() => sessions.accountChanged(userId));
    });
  }
}
