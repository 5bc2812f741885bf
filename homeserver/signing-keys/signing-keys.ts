/**
 * This server's signing keys in memory, and the document that publishes them.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#publishing-keys
 */
import { stat } from 'node:fs/promises';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { type SigningKey, signJson } from '../../spec/signing.ts';
import type { Clock } from '../clock.ts';
import type { Logger } from '../ops/logger.ts';
import type { Random } from '../random.ts';
import { sharedKeyText } from '../storage/cluster.ts';
import type { Database } from '../storage/database.ts';
import {
  formatKeyFile,
  type KeySet,
  openKeyFile,
  RELOAD_INTERVAL_MS,
  readKeyFile,
} from './key-file.ts';
import { agreeOnKeys } from './shared-keys.ts';

export interface SigningKeysOptions {
  readonly path: string;
  /** Where other machines sign with the same keys: the database that they share. */
  readonly shared?: Database | undefined;
  readonly serverName: ServerName;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** How long others may rely on a published document. */
const DOCUMENT_LIFETIME_MS = 24 * 60 * 60_000;
/** A document is handed out for this long, so it never has less than 23 hours to go. */
const DOCUMENT_RENEWAL_MS = 60 * 60_000;

const modifiedMs = async (path: string): Promise<number> => (await stat(path)).mtimeMs;

export class SigningKeys {
  readonly serverName: ServerName;
  readonly #path: string;
  readonly #shared: Database | undefined;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #keys: KeySet;
  #modifiedMs: number;
  #sharedText: string | undefined;
  #document: { readonly value: JsonObject; readonly renewAtMs: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: SigningKeysOptions, keys: KeySet, modified: number) {
    this.serverName = options.serverName;
    this.#path = options.path;
    this.#shared = options.shared;
    this.#random = options.random;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#keys = keys;
    this.#modifiedMs = modified;
  }

  /**
   * Makes the key file on first start. Call `close` to stop watching it.
   * @throws {StartFailure} when other machines sign with keys that the file does not have
   */
  static async open(options: SigningKeysOptions): Promise<SigningKeys> {
    const { path, shared, random } = options;
    const keys = await (shared === undefined
      ? openKeyFile(path, random)
      : agreeOnKeys(shared, path, random));
    const opened = new SigningKeys(options, keys, await modifiedMs(path));
    opened.#sharedText = shared && formatKeyFile(keys);
    opened.#timer = setInterval(() => void opened.reload(), RELOAD_INTERVAL_MS);
    opened.#timer.unref();
    return opened;
  }

  /** The key to sign with now; ask each time. */
  get current(): SigningKey {
    return this.#keys.current[0];
  }

  get keys(): KeySet {
    return this.#keys;
  }

  /** The signed document for `GET /_matrix/key/v2/server`. */
  document(): JsonObject {
    const nowMs = this.#clock.nowMs();
    if (this.#document === undefined || nowMs >= this.#document.renewAtMs) {
      const value = this.#sign(nowMs + DOCUMENT_LIFETIME_MS);
      this.#document = { value, renewAtMs: nowMs + DOCUMENT_RENEWAL_MS };
    }
    return this.#document.value;
  }

  #sign(validUntilTs: number): JsonObject {
    const { current, retired } = this.#keys;
    let document: JsonObject = {
      server_name: this.serverName,
      valid_until_ts: validUntilTs,
      verify_keys: Object.fromEntries(
        current.map(({ keyId, publicKey }) => [keyId, { key: publicKey }]),
      ),
      old_verify_keys: Object.fromEntries(
        retired.map(({ keyId, publicKey, expiredTs }) => [
          keyId,
          { key: publicKey, expired_ts: expiredTs },
        ]),
      ),
    };
    for (const key of current) document = signJson(document, this.serverName, key);
    return document;
  }

  /** Takes over the file, or what other machines have made known, if it has changed. */
  async reload(): Promise<void> {
    try {
      const shared = this.#shared;
      const modified = await modifiedMs(this.#path);
      const sharedText = shared && (await sharedKeyText(shared));
      if (modified === this.#modifiedMs && sharedText === this.#sharedText) return;
      this.#keys = await (shared === undefined
        ? readKeyFile(this.#path)
        : agreeOnKeys(shared, this.#path, this.#random));
      this.#modifiedMs = await modifiedMs(this.#path);
      this.#sharedText = shared && formatKeyFile(this.#keys);
      this.#document = undefined;
      this.#logger.info({ keyId: this.current.keyId }, 'the signing keys have changed');
    } catch (error) {
      this.#logger.error({ err: error, file: this.#path }, 'the signing keys cannot be taken over');
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
