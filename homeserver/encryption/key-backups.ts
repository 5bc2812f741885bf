/**
 * Backups of room keys, encrypted by clients.
 * https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonValue } from '../../spec/event.ts';
import { fitsInBytes, type UserId } from '../../spec/identifiers.ts';
import { clientDataLimits } from '../accounts/client-data-limits.ts';
import type { Database, Tx } from '../storage/database.ts';
import {
  addKeyBackup,
  type BackupChange,
  type BackupKeyRow,
  type BackupPosition,
  type BackupScope,
  backupKeys,
  backupUse,
  deleteBackupKeys,
  type KeyBackupRow,
  keyBackup,
  lockKeyBackup,
  markBackupDeleted,
  putBackupKeys,
  recordBackupChange,
  setBackupAuthData,
} from '../storage/key-backups.ts';

export type { BackupKeyRow, BackupScope } from '../storage/key-backups.ts';

export interface BackupState {
  readonly count: number;
  readonly etag: string;
}

export interface BackupInfo extends BackupState {
  readonly algorithm: string;
  readonly auth_data: JsonValue;
  readonly version: string;
}

const limits = clientDataLimits.keyBackups;
/** Keys read at a time: some hundred KiB. */
const PAGE = 500;

const full = (message: string) => matrixError('M_RESOURCE_LIMIT_EXCEEDED', message);

const storedAuthData = (authData: JsonValue): string => {
  const json = JSON.stringify(authData);
  if (fitsInBytes(json, limits.authDataBytes)) return json;
  throw matrixError('M_TOO_LARGE', `'auth_data' has at most ${limits.authDataBytes} bytes`);
};

const unknownVersion = () => matrixError('M_NOT_FOUND', 'Unknown backup version');

/** Versions are numbers, opaque to clients. */
const numberOf = (version: string): number => {
  if (!/^[1-9]\d{0,14}$/.test(version)) throw unknownVersion();
  return Number(version);
};

export class KeyBackups {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** @throws MatrixError M_TOO_LARGE, M_RESOURCE_LIMIT_EXCEEDED */
  async create(userId: UserId, algorithm: string, authData: JsonValue): Promise<string> {
    const { versions: maxVersions, deletedVersions: keptDeleted } = limits;
    const stored = storedAuthData(authData);
    const version = await this.#db.transaction((tx) =>
      addKeyBackup(tx, userId, algorithm, stored, { maxVersions, keptDeleted }),
    );
    if (version === undefined) throw full('There are too many backups; delete some first');
    return String(version);
  }

  /** The newest backup unless a version is given. @throws MatrixError M_NOT_FOUND */
  async info(userId: UserId, version: string | undefined): Promise<BackupInfo> {
    const backup = await this.#live(userId, version);
    return {
      algorithm: backup.algorithm,
      auth_data: JSON.parse(backup.authData) as JsonValue,
      version: String(backup.version),
      ...stateOf(backup),
    };
  }

  /** @throws MatrixError M_NOT_FOUND, M_INVALID_PARAM, M_TOO_LARGE */
  async setAuthData(
    userId: UserId,
    version: string,
    algorithm: string,
    authData: JsonValue,
  ): Promise<void> {
    const stored = storedAuthData(authData);
    await this.#db.transaction(async (tx) => {
      const backup = await lockKeyBackup(tx, userId, numberOf(version));
      if (backup === undefined || backup.deleted) throw unknownVersion();
      if (backup.algorithm !== algorithm) {
        throw matrixError('M_INVALID_PARAM', 'The algorithm of a backup cannot change');
      }
      await setBackupAuthData(tx, userId, backup.version, stored);
    });
  }

  /** Also when it was deleted before. @throws MatrixError M_NOT_FOUND */
  async delete(userId: UserId, version: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const backup = await lockKeyBackup(tx, userId, numberOf(version));
      if (backup === undefined) throw unknownVersion();
      await markBackupDeleted(tx, userId, backup.version);
    });
  }

  /**
   * Only into the newest version.
   * @throws MatrixError M_NOT_FOUND, M_WRONG_ROOM_KEYS_VERSION, M_TOO_LARGE, M_RESOURCE_LIMIT_EXCEEDED
   */
  async putKeys(
    userId: UserId,
    version: string,
    keys: readonly BackupKeyRow[],
  ): Promise<BackupState> {
    for (const { sessionData } of keys) {
      if (!fitsInBytes(sessionData, limits.keyBytesEach)) {
        throw matrixError('M_TOO_LARGE', `A key has at most ${limits.keyBytesEach} bytes`);
      }
    }
    return this.#db.transaction(async (tx) => {
      const current = await keyBackup(tx, userId, undefined);
      if (current === undefined) throw unknownVersion();
      if (String(current.version) !== version) {
        throw matrixError('M_WRONG_ROOM_KEYS_VERSION', 'This is not the newest backup', {
          current_version: String(current.version),
        });
      }
      await this.#locked(tx, userId, version);
      const change = await putBackupKeys(tx, userId, current.version, keys);
      const state = await this.#changed(tx, userId, current.version, change);
      const use = await backupUse(tx, userId);
      if (change.addedKeys > 0 && use.keys > limits.keys) {
        throw full(`Backups hold at most ${limits.keys} keys`);
      }
      if (change.addedBytes > 0 && use.bytes > limits.keyBytes) {
        throw full(`Backups hold at most ${limits.keyBytes} bytes`);
      }
      return state;
    });
  }

  /**
   * By room, then by session, page after page: a backup may be larger than what is good to have in
   * memory. @throws MatrixError M_NOT_FOUND, before the first page
   */
  async keys(
    userId: UserId,
    version: string,
    scope: BackupScope,
  ): Promise<AsyncIterable<readonly BackupKeyRow[]>> {
    const backup = await this.#live(userId, version);
    return this.#pages(userId, backup.version, scope);
  }

  async *#pages(
    userId: UserId,
    version: number,
    scope: BackupScope,
  ): AsyncGenerator<readonly BackupKeyRow[]> {
    let after: BackupPosition | undefined;
    for (;;) {
      const page = await backupKeys(this.#db, userId, version, scope, after, PAGE);
      if (page.length > 0) yield page;
      if (page.length < PAGE) return;
      after = page.at(-1);
    }
  }

  /** @throws MatrixError M_NOT_FOUND */
  async deleteKeys(userId: UserId, version: string, scope: BackupScope): Promise<BackupState> {
    return this.#db.transaction(async (tx) => {
      const backup = await this.#locked(tx, userId, version);
      const change = await deleteBackupKeys(tx, userId, backup.version, scope);
      return this.#changed(tx, userId, backup.version, change);
    });
  }

  async #live(userId: UserId, version: string | undefined): Promise<KeyBackupRow> {
    const wanted = version === undefined ? undefined : numberOf(version);
    const backup = await keyBackup(this.#db, userId, wanted);
    if (backup === undefined || backup.deleted) {
      throw version === undefined
        ? matrixError('M_NOT_FOUND', 'No current backup version')
        : unknownVersion();
    }
    return backup;
  }

  async #locked(tx: Tx, userId: UserId, version: string): Promise<KeyBackupRow> {
    const backup = await lockKeyBackup(tx, userId, numberOf(version));
    if (backup === undefined || backup.deleted) throw unknownVersion();
    return backup;
  }

  async #changed(
    tx: Tx,
    userId: UserId,
    version: number,
    change: BackupChange,
  ): Promise<BackupState> {
    if (change.changed > 0) await recordBackupChange(tx, userId, version, change);
    return stateOf((await keyBackup(tx, userId, version)) as KeyBackupRow);
  }
}

const stateOf = ({ keyCount, etag }: KeyBackupRow): BackupState => ({
  count: keyCount,
  etag: String(etag),
});
