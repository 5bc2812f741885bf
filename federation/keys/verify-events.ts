/**
 * Checking the signatures of many events at once: all keys are looked up together.
 *
 * Specification:
 * https://spec.matrix.org/v1.19/server-server-api/#validating-hashes-and-signatures-on-received-events
 */
import type { RemoteKey } from '../../homeserver/storage/remote-keys.ts';
import { sharedTurn } from '../../homeserver/turns.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import {
  POLICY_SERVER_KEY_ID,
  requiredSigners,
  signingKeyIdsOf,
  verifyEventSignature,
} from '../../spec/signing.ts';
import { type KeyRing, type KeysOfServer, MAX_SIGNATURES } from './key-ring.ts';
import type { KeyWish } from './key-sources.ts';
import { SignatureFailure } from './signature-failure.ts';

/**
 * One entry for each event, in order: `undefined` when every server that must have signed it has,
 * with a key valid at the time the room version asks for; otherwise why not.
 */
export const verifyEvents = async (
  keyRing: KeyRing,
  events: readonly MatrixEvent[],
  rules: RoomVersionRules,
): Promise<(SignatureFailure | undefined)[]> => {
  const wishesOf = events.map((event) => signersOf(event, rules));
  const keys = await keyRing.keysFor(merged(wishesOf.flat()));
  const results: (SignatureFailure | undefined)[] = [];
  for (const [index, event] of events.entries()) {
    results.push(failureOf(keyRing, event, rules, wishesOf[index] as KeyWish[], keys));
    await sharedTurn();
  }
  return results;
};

const signersOf = (event: MatrixEvent, rules: RoomVersionRules): KeyWish[] =>
  requiredSigners(event, rules).map((serverName) => ({
    serverName,
    keyIds: signingKeyIdsOf(event.pdu, serverName)
      .filter((keyId) => keyId !== POLICY_SERVER_KEY_ID)
      .slice(0, MAX_SIGNATURES),
    // https://spec.matrix.org/v1.19/rooms/v5/#signing-key-validity-period
    validAtMs: rules.enforceKeyValidity ? event.originServerTs : 0,
  }));

/** One wish for each set of keys of a server, for the latest of the times. */
const merged = (wishes: readonly KeyWish[]): KeyWish[] => {
  const latest = new Map<string, KeyWish>();
  for (const wish of wishes) {
    if (wish.keyIds.length === 0) continue;
    const id = `${wish.serverName} ${wish.keyIds.join(' ')}`;
    const known = latest.get(id);
    if (known === undefined || wish.validAtMs > known.validAtMs) latest.set(id, wish);
  }
  return [...latest.values()];
};

const failureOf = (
  keyRing: KeyRing,
  event: MatrixEvent,
  rules: RoomVersionRules,
  wishes: readonly KeyWish[],
  keys: ReadonlyMap<ServerName, KeysOfServer>,
): SignatureFailure | undefined => {
  for (const wish of wishes) {
    const { serverName, keyIds } = wish;
    if (keyIds.length === 0) return new SignatureFailure(serverName, 'unsigned');
    const usable = keyRing.usable(wish, keys);
    if (usable.length === 0) return new SignatureFailure(serverName, 'no_key');
    if (!isSignedWithAll(usable, event, rules, serverName)) {
      return new SignatureFailure(serverName, 'wrong');
    }
  }
  return undefined;
};

/**
 * "If all signatures from known unexpired keys from the originating server(s) are found to be valid":
 * keys that are not known are left out before, and one wrong signature spoils the others.
 */
const isSignedWithAll = (
  keys: readonly RemoteKey[],
  event: MatrixEvent,
  rules: RoomVersionRules,
  serverName: ServerName,
): boolean =>
  keys.every(({ keyId, publicKey }) =>
    verifyEventSignature(event, rules, serverName, keyId, publicKey),
  );
