/**
 * Policy servers: a server that a room names to look at every event first, and whose signature says
 * that the event is welcome. The room's state has the key, so a signature is checked without asking
 * anyone; to get one the policy server is asked, and that is never done by a room's writer.
 * https://spec.matrix.org/v1.19/server-server-api/#policy-servers
 */
import { matrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { isServerName, type ServerName } from '../../spec/identifiers.ts';
import {
  isPublicKey,
  POLICY_SERVER_KEY_ID,
  signatureOf,
  verifyEventSignature,
  withSignature,
} from '../../spec/signing.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';

/** What the core asks of policy servers; `federation/` provides it. */
export interface PolicySigner {
  /**
   * The signature (unpadded base64) that the server gives to an event, not checked; undefined when
   * its answer has none. With `forClient` someone is waiting who should be told of a refusal.
   * @throws MatrixError what a client is to be told when the server refuses, or does not answer in
   * time
   */
  sign(
    server: ServerName,
    event: MatrixEvent,
    options: { readonly forClient: boolean },
  ): Promise<string | undefined>;
}

interface PolicyServer {
  readonly name: ServerName;
  readonly publicKey: string;
}

const policyType = 'm.room.policy';

export class PolicyServers {
  readonly #events: EventStore;
  #signer: PolicySigner | undefined;

  constructor(deps: { readonly events: EventStore }) {
    this.#events = deps.events;
  }

  /** Until this is called no policy server is asked, and what it must sign cannot be sent. */
  askThrough(signer: PolicySigner): void {
    this.#signer = signer;
  }

  /**
   * Whether the event may need a policy server's signature. Costs next to nothing, so that rooms
   * without a policy server need not wait for more.
   */
  concerns(
    room: LiveRoom,
    event: { readonly type: string; readonly stateKey?: string | undefined },
  ): boolean {
    if (room.stateRef(policyType, '') === undefined) return false;
    // With it the room can do without a policy server that does not answer.
    return event.type !== policyType || event.stateKey !== '';
  }

  /** Whether the event is recommended for inclusion as it is, without asking anyone. */
  async isWelcome(room: LiveRoom, event: MatrixEvent): Promise<boolean> {
    if (!this.concerns(room, event)) return true;
    const server = await this.#serverOf(room);
    return server === undefined || isSignedBy(server, room, event);
  }

  /**
   * The event with a valid signature of the room's policy server, which is asked for one unless the
   * event has it. Not for the room's writer.
   * @throws MatrixError when there is none to be had
   */
  async signed(
    room: LiveRoom,
    event: MatrixEvent,
    options: { readonly forClient: boolean },
  ): Promise<MatrixEvent> {
    const server = this.concerns(room, event) ? await this.#serverOf(room) : undefined;
    if (server === undefined || isSignedBy(server, room, event)) return event;
    const signature = await this.#signer?.sign(server.name, event, options);
    const signed = signature === undefined ? event : withPolicySignature(event, server, signature);
    if (!isSignedBy(server, room, signed)) {
      throw matrixError('M_FORBIDDEN', `The room's policy server, ${server.name}, did not sign`);
    }
    return signed;
  }

  /** https://spec.matrix.org/v1.19/server-server-api/#determining-if-a-policy-server-is-enabled-in-a-room */
  async #serverOf(room: LiveRoom): Promise<PolicyServer | undefined> {
    const ref = room.stateRef(policyType, '');
    const stored = ref && (await this.#events.byNid(room.nid, ref.nid));
    const { via: name, public_keys: keys } = stored?.event.content ?? {};
    if (typeof name !== 'string' || !isServerName(name) || !room.hasJoinedServer(name)) return;
    if (typeof keys !== 'object' || keys === null || Array.isArray(keys)) return;
    const { ed25519: publicKey } = keys;
    return typeof publicKey === 'string' ? { name, publicKey } : undefined;
  }
}

const isSignedBy = (
  { name, publicKey }: PolicyServer,
  { rules }: LiveRoom,
  event: MatrixEvent,
): boolean =>
  signatureOf(event.pdu as never, name, POLICY_SERVER_KEY_ID) !== undefined &&
  isPublicKey(publicKey) &&
  verifyEventSignature(event, rules, name, POLICY_SERVER_KEY_ID, publicKey);

const withPolicySignature = (
  event: MatrixEvent,
  { name }: PolicyServer,
  signature: string,
): MatrixEvent => ({
  ...event,
  pdu: {
    ...event.pdu,
    signatures: withSignature(event.pdu.signatures, name, POLICY_SERVER_KEY_ID, signature),
  },
});
