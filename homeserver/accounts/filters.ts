/**
 * Filters that clients keep with the server and name by a number.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { lenientCanonicalJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import { compileFilter, type Filter, type FilterLimits } from '../../spec/filter.ts';
import { fitsInBytes, type UserId } from '../../spec/identifiers.ts';
import { inBatches } from '../in-batches.ts';
import type { Database } from '../storage/database.ts';
import {
  type FilterKey,
  filterDefinitions,
  filterIdByHash,
  insertFilter,
} from '../storage/filters.ts';
import { lockUser } from '../storage/users.ts';
import { clientDataLimits } from './client-data-limits.ts';

const limits = clientDataLimits.filters;
/** Definitions in memory, as text: compiled they take a few times as much. */
const MAX_CACHED_BYTES = 8_388_608;
const FILTER_ID = /^[1-9][0-9]{0,8}$/;

export interface StoredFilter {
  readonly definition: JsonObject;
  readonly filter: Filter;
}

export class Filters {
  readonly #database: Database;
  readonly #limits: FilterLimits;
  readonly #definitionOf: (key: FilterKey) => Promise<string | undefined>;
  /** Filters never change, so none ever leaves for being out of date. */
  readonly #cache = new LRUCache<string, StoredFilter>({ maxSize: MAX_CACHED_BYTES });

  constructor(database: Database, limits: FilterLimits) {
    this.#database = database;
    this.#limits = limits;
    this.#definitionOf = inBatches((keys: readonly FilterKey[]) =>
      filterDefinitions(database, keys),
    );
  }

  /** The same filter has the same id. Throws `M_BAD_JSON`, `M_TOO_LARGE`, `M_RESOURCE_LIMIT_EXCEEDED`. */
  async define(userId: UserId, definition: JsonObject): Promise<string> {
    compileFilter(definition, this.#limits);
    const text = lenientCanonicalJson(definition);
    if (!fitsInBytes(text, limits.bytesEach)) {
      throw matrixError('M_TOO_LARGE', `A filter has at most ${limits.bytesEach} bytes`);
    }
    const hash = createHash('sha256').update(text).digest('base64url');
    const known = await filterIdByHash(this.#database, userId, hash);
    if (known !== undefined) return String(known);
    return this.#database.transaction(async (tx) => {
      await lockUser(tx, userId);
      const id =
        (await filterIdByHash(tx, userId, hash)) ??
        (await insertFilter(tx, userId, JSON.stringify(definition), hash, limits));
      if (id === undefined) {
        throw matrixError('M_RESOURCE_LIMIT_EXCEEDED', 'There are too many filters already');
      }
      return String(id);
    });
  }

  /** `undefined` when the user has no such filter. */
  async get(userId: UserId, filterId: string): Promise<StoredFilter | undefined> {
    if (!FILTER_ID.test(filterId)) return undefined;
    const key = `${filterId} ${userId}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const text = await this.#definitionOf({ userId, filterId: Number(filterId) });
    if (text === undefined) return undefined;
    const definition = JSON.parse(text) as JsonObject;
    const stored = { definition, filter: compileFilter(definition, this.#limits) };
    this.#cache.set(key, stored, { size: key.length + text.length });
    return stored;
  }
}
