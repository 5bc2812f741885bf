/**
 * The keys of other servers: kept in memory and in the database, fetched from the servers
 * themselves or from notaries when missing or no longer valid, and used to check signatures.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../../homeserver/clock.ts';
import type { Logger } from '../../homeserver/ops/logger.ts';
import type { SigningKeys } from '../../homeserver/signing-keys/signing-keys.ts';
import type { Database } from '../../homeserver/storage/database.ts';
import {
  type RemoteKey,
  remoteKeysOf,
  storeKeyDocument,
} from '../../homeserver/storage/remote-keys.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { signingKeyIdsOf, verifySignedJson } from '../../spec/signing.ts';
import { FederationError } from '../federation-error.ts';
import type { FederationClient } from '../http-client.ts';
import { FetchGate } from './fetch-gate.ts';
import type { ParsedKeyDocument } from './key-document.ts';
import { fetchFromNotary, fetchOwnDocument, type KeyWish } from './key-sources.ts';
import { SignatureFailure, type Signers } from './signature-failure.ts';

export interface KeyRingOptions {
  readonly database: Database;
  readonly client: FederationClient;
  readonly own: SigningKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asked, in this order, for what servers do not answer themselves. */
  readonly notaries: readonly ServerName[];
}

export type KeysOfServer = ReadonlyMap<string, RemoteKey>;

const MAX_SERVERS_IN_MEMORY = 10_000;
/** Of one server on one object; more are not looked at. */
export const MAX_SIGNATURES = 8;
const NOTARY_BATCH = 100;
/** Servers that the operator was warned of; one that falls out is warned of again. */
const MAX_WARNED_OF = 1_000;
const CONTRADICTS = 'a notary tells of keys that no known key of their server vouches for';
const NO_KEYS: KeysOfServer = new Map();

const byId = (keys: readonly RemoteKey[]): KeysOfServer =>
  new Map(keys.map((key) => [key.keyId, key]));

export class KeyRing implements Signers {
  readonly #options: KeyRingOptions;
  /** Who asks us about a server uses up nothing of what we may ask it ourselves. */
  readonly #gates: Readonly<Record<'keys' | 'notary', FetchGate>>;
  readonly #warnedOf = new LRUCache<ServerName, true>({ max: MAX_WARNED_OF });
  readonly #memory = new LRUCache<ServerName, KeysOfServer>({ max: MAX_SERVERS_IN_MEMORY });
  /** By purpose and server. */
  readonly #fetching = new Map<string, Promise<void>>();

  constructor(options: KeyRingOptions) {
    this.#options = options;
    this.#gates = { keys: new FetchGate(options.clock), notary: new FetchGate(options.clock) };
  }

  /** @throws {SignatureFailure} */
  async verifyJson(serverName: ServerName, object: JsonObject, validAtMs: number): Promise<void> {
    const keyIds = signingKeyIdsOf(object, serverName).slice(0, MAX_SIGNATURES);
    if (keyIds.length === 0) throw new SignatureFailure(serverName, 'unsigned');
    const usable = await this.usableKeys(serverName, keyIds, validAtMs);
    const isSigned = usable.some(({ keyId, publicKey }) =>
      verifySignedJson(object, serverName, keyId, publicKey),
    );
    if (!isSigned) throw new SignatureFailure(serverName, 'wrong');
  }

  /** @throws {SignatureFailure} */
  async usableKeys(
    serverName: ServerName,
    keyIds: readonly string[],
    validAtMs: number,
  ): Promise<RemoteKey[]> {
    const wish = { serverName, keyIds, validAtMs };
    const usable = this.usable(wish, await this.keysFor([wish]));
    if (usable.length === 0) throw new SignatureFailure(serverName, 'no_key');
    return usable;
  }

  /**
   * Looks up everything wanted at once. A wish is met by any one of its keys; what cannot be met is
   * missing from the answer, or there with a shorter validity. Never fails because of other servers.
   */
  async keysFor(wishes: readonly KeyWish[]): Promise<ReadonlyMap<ServerName, KeysOfServer>> {
    // A time in the future is no reason to ask anyone, so that events that claim one cost nothing.
    const nowMs = this.#options.clock.nowMs();
    const sensible = wishes.map((wish) =>
      wish.validAtMs <= nowMs ? wish : { ...wish, validAtMs: nowMs },
    );
    const unmet = () => sensible.filter((wish) => !this.#isMet(wish));
    if (unmet().length > 0) await this.#load(unmet());
    if (unmet().length > 0) {
      await this.#fetchDirectly(unmet().map(({ serverName }) => serverName));
      await this.#fetchFromNotaries(unmet());
    }
    return new Map(wishes.map(({ serverName }) => [serverName, this.#known(serverName)]));
  }

  /** The keys of a wish that were found and are valid at its time. */
  usable(
    { serverName, keyIds, validAtMs }: KeyWish,
    found: ReadonlyMap<ServerName, KeysOfServer>,
  ): RemoteKey[] {
    const keys = found.get(serverName) ?? NO_KEYS;
    return keyIds.flatMap((keyId) => {
      const key = keys.get(keyId);
      return key !== undefined && key.validUntilMs >= validAtMs ? [key] : [];
    });
  }

  /**
   * Asks a server for its document now, within the limits on how often; for notaries, who are asked
   * for newer keys than are known.
   */
  async refresh(serverName: ServerName): Promise<void> {
    await this.#fetchDirectly([serverName], 'notary');
  }

  #known(serverName: ServerName): KeysOfServer {
    if (serverName === this.#options.own.serverName) return this.#ownKeys();
    return this.#memory.get(serverName) ?? NO_KEYS;
  }

  #ownKeys(): KeysOfServer {
    const { current, retired } = this.#options.own.keys;
    return byId([
      ...retired.map(({ keyId, publicKey, expiredTs }) => ({
        keyId,
        publicKey,
        validUntilMs: expiredTs,
      })),
      ...current.map(({ keyId, publicKey }) => ({
        keyId,
        publicKey,
        validUntilMs: Number.POSITIVE_INFINITY,
      })),
    ]);
  }

  #isMet(wish: KeyWish): boolean {
    const { serverName } = wish;
    if (serverName === this.#options.own.serverName) return true;
    return this.usable(wish, new Map([[serverName, this.#known(serverName)]])).length > 0;
  }

  async #load(wishes: readonly KeyWish[]): Promise<void> {
    const names = [...new Set(wishes.map(({ serverName }) => serverName))];
    const found = await remoteKeysOf(this.#options.database, names);
    for (const [serverName, keys] of found) {
      this.#memory.set(serverName as ServerName, byId(keys));
    }
  }

  /** Each server is asked once, however many want its keys meanwhile. */
  async #fetchDirectly(
    serverNames: readonly ServerName[],
    purpose: 'keys' | 'notary' = 'keys',
  ): Promise<void> {
    await Promise.all(
      [...new Set(serverNames)].map((serverName) => {
        const key = `${purpose} ${serverName}`;
        let fetching = this.#fetching.get(key);
        if (fetching === undefined) {
          fetching = this.#fetchOne(serverName, purpose).finally(() => this.#fetching.delete(key));
          this.#fetching.set(key, fetching);
        }
        return fetching;
      }),
    );
  }

  async #fetchOne(serverName: ServerName, purpose: 'keys' | 'notary'): Promise<void> {
    const gate = this.#gates[purpose];
    if (!gate.take(serverName)) return;
    const { client, clock, logger } = this.#options;
    try {
      const parsed = await fetchOwnDocument(client, serverName, purpose, clock);
      if (parsed === undefined) {
        gate.failed(serverName);
        if (!this.#warnedOf.has(serverName)) {
          this.#warnedOf.set(serverName, true);
          logger.warn(
            { serverName },
            'a server publishes no usable key: nothing it says is believed',
          );
        }
        return;
      }
      gate.succeeded(serverName);
      await this.#store(parsed, true);
    } catch (error) {
      if (!(error instanceof FederationError)) throw error;
      gate.failed(serverName);
      logger.debug({ err: error, serverName }, 'the keys of a server could not be fetched');
    }
  }

  async #fetchFromNotaries(wishes: readonly KeyWish[]): Promise<void> {
    const { notaries, client, clock, logger } = this.#options;
    for (const notary of notaries) {
      // A notary's own keys are what its answers are checked with.
      const unmet = wishes.filter(
        (wish) => !notaries.includes(wish.serverName) && !this.#isMet(wish),
      );
      for (let at = 0; at < unmet.length; at += NOTARY_BATCH) {
        const batch = unmet.slice(at, at + NOTARY_BATCH);
        try {
          const documents = await fetchFromNotary(client, notary, batch, clock);
          for (const parsed of documents) {
            await this.verifyJson(notary, parsed.document, clock.nowMs());
            if (this.#mayContinue(parsed)) await this.#store(parsed, false);
            else logger.warn({ notary, serverName: parsed.serverName }, CONTRADICTS);
          }
        } catch (error) {
          if (!(error instanceof FederationError || error instanceof SignatureFailure)) throw error;
          logger.debug({ err: error, notary }, 'a notary could not help');
          break;
        }
      }
    }
  }

  /**
   * Whether a document that a notary told of goes on from what is known of the server: signed with a
   * key it is known to have. Of a server that is not known at all, the notary's word is all there is.
   */
  #mayContinue({ serverName, document }: ParsedKeyDocument): boolean {
    const known = [...this.#known(serverName as ServerName).values()];
    return (
      known.length === 0 ||
      known.some(({ keyId, publicKey }) => verifySignedJson(document, serverName, keyId, publicKey))
    );
  }

  async #store(parsed: ParsedKeyDocument, direct: boolean): Promise<void> {
    const { database, clock } = this.#options;
    const { serverName, document, validUntilTs, keys } = parsed;
    const fetchedAtMs = clock.nowMs();
    await database.transaction((tx) =>
      storeKeyDocument(tx, { serverName, document, validUntilTs, keys, fetchedAtMs, direct }),
    );
    const stored = await remoteKeysOf(database, [serverName]);
    this.#memory.set(serverName as ServerName, byId(stored.get(serverName) ?? []));
  }
}
