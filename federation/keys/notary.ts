/**
 * Answering for the keys of other servers, with our signature on what they published.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#querying-keys-through-another-server
 */
import type { SigningKeys } from '../../homeserver/signing-keys/signing-keys.ts';
import type { Database } from '../../homeserver/storage/database.ts';
import { type KeyDocument, keyDocumentsOf } from '../../homeserver/storage/remote-keys.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import { signJson } from '../../spec/signing.ts';
import type { KeyRing } from './key-ring.ts';

export interface NotaryQuery {
  readonly serverName: ServerName;
  /** Key ids with the time until which a document should be valid; empty asks for all keys. */
  readonly keys: ReadonlyMap<string, number>;
  /** For a query of all keys. */
  readonly validUntilTs: number;
}

/** Documents of one server in an answer; they are the latest. */
const MAX_DOCUMENTS = 16;

export class Notary {
  readonly #database: Database;
  readonly #keyRing: KeyRing;
  readonly #own: SigningKeys;

  constructor(database: Database, keyRing: KeyRing, own: SigningKeys) {
    this.#database = database;
    this.#keyRing = keyRing;
    this.#own = own;
  }

  /**
   * The documents of all servers asked for, as far as they can be had. A document that is not valid
   * for as long as asked is better than none, since it still verifies old events.
   */
  async query(queries: readonly NotaryQuery[]): Promise<JsonObject[]> {
    const answers = await Promise.all(queries.map((query) => this.#answer(query)));
    return answers.flat();
  }

  async #answer(query: NotaryQuery): Promise<JsonObject[]> {
    const { serverName } = query;
    if (serverName === this.#own.serverName) return [this.#own.document()];
    let documents = await keyDocumentsOf(this.#database, serverName);
    if (!isMet(query, documents)) {
      await this.#keyRing.refresh(serverName);
      documents = await keyDocumentsOf(this.#database, serverName);
    }
    return documents
      .filter(({ keyIds }) => query.keys.size === 0 || keyIds.some((id) => query.keys.has(id)))
      .slice(0, MAX_DOCUMENTS)
      .map(({ document }) => signJson(document, this.#own.serverName, this.#own.current));
  }
}

const isMet = ({ keys, validUntilTs }: NotaryQuery, documents: readonly KeyDocument[]): boolean => {
  if (keys.size === 0) return documents.some((known) => known.validUntilTs >= validUntilTs);
  return [...keys].every(([keyId, minimumTs]) =>
    documents.some((known) => known.keyIds.includes(keyId) && known.validUntilTs >= minimumTs),
  );
};
