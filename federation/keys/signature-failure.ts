/** How a signature of another server can fail to convince, and what it takes to check one. */
import type { RemoteKey } from '../../homeserver/storage/remote-keys.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';

export type SignatureFailureReason =
  /** The server has not signed at all, or with no algorithm we know. */
  | 'unsigned'
  /** No key is known that was valid at the time; the server may not have been reachable. */
  | 'no_key'
  /** The signature does not belong to the object. */
  | 'wrong';

export class SignatureFailure extends Error {
  override readonly name = 'SignatureFailure';
  readonly serverName: ServerName;
  readonly reason: SignatureFailureReason;

  constructor(serverName: ServerName, reason: SignatureFailureReason) {
    super(
      {
        unsigned: `There is no signature of ${serverName}`,
        no_key: `No valid key of ${serverName} could be found`,
        wrong: `The signature of ${serverName} is wrong`,
      }[reason],
    );
    this.serverName = serverName;
    this.reason = reason;
  }
}

export interface Signers {
  /**
   * Checks that a server has signed an object with a key valid at a time (0: with any key it ever
   * had).
   * @throws {SignatureFailure}
   */
  verifyJson(serverName: ServerName, object: JsonObject, validAtMs: number): Promise<void>;
  /**
   * The keys of a server that are wanted, as far as they were valid at a time.
   * @throws {SignatureFailure} when there is none
   */
  usableKeys(
    serverName: ServerName,
    keyIds: readonly string[],
    validAtMs: number,
  ): Promise<RemoteKey[]>;
}
