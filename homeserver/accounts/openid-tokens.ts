/**
 * Tokens by which people prove to a third party who they are, and which are good for nothing else.
 * https://spec.matrix.org/v1.19/client-server-api/#openid
 */
import { encodeUrlSafeBase64 } from '../../spec/base64.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';
import type { Database } from '../storage/database.ts';
import { openIdTokenOwner, putOpenIdToken } from '../storage/openid-tokens.ts';
import { secretHash } from './secrets.ts';

export interface OpenIdTokensDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
}

export const openIdLifetimeMs = 3_600_000;

export class OpenIdTokens {
  readonly #deps: OpenIdTokensDeps;

  constructor(deps: OpenIdTokensDeps) {
    this.#deps = deps;
  }

  async issue(userId: UserId): Promise<string> {
    const { database, clock, random } = this.#deps;
    const token = `parley_openid_${encodeUrlSafeBase64(random.bytes(32))}`;
    const expiresAtMs = clock.nowMs() + openIdLifetimeMs;
    const row = { tokenHash: secretHash(token), userId, expiresAtMs };
    await database.transaction((tx) => putOpenIdToken(tx, row));
    return token;
  }

  /** For the third party, which asks by federation. */
  userOf(token: string): Promise<UserId | undefined> {
    const { database, clock } = this.#deps;
    return openIdTokenOwner(database, secretHash(token), clock.nowMs());
  }
}
