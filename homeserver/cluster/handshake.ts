/**
 * How two processes find out that they belong to the same server. Each says who it is and makes up a
 * number; each proves that it knows the secret by a MAC over what both have said. What a stranger
 * says is measured and never parsed.
 *
 *     dialer → hello            hello = protocol, server, id, addresses, purpose, nonce
 *     dialer ← hello, proof     proof = HMAC-SHA-256(secret, who proves, dialer's hello, acceptor's hello)
 *     dialer → proof
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { frameKind } from './frame-kinds.ts';
import { encodeFrame, type FrameHandlers, type FrameSocket } from './frames.ts';
import type { Member } from './members.ts';

/** Raised whenever frames, calls or the choice of owners change in a way the other side must know. */
export const protocolVersion = 1;

/** What a connection is for: to follow the leader, or to call a member. */
export type Purpose = 'join' | 'call';

export interface HandshakeOptions {
  readonly serverName: string;
  readonly secret: Buffer;
  readonly self: () => Member;
}

interface Hello extends Member {
  readonly protocol: number;
  readonly server: string;
  readonly purpose: Purpose;
  readonly nonce: string;
}

/** The other side does not belong to this server, or not to this release of it. */
export class HandshakeFailed extends Error {
  override readonly name = 'HandshakeFailed';
}

/** Enough for a hello with many addresses. */
export const handshakeLimits = { maxFrameBytes: 4_096, maxQueuedBytes: 65_536 };

const proofBytes = 32;

/**
 * The handlers a fresh socket begins with, on either side. `onPeer` is called as soon as the other side
 * is known, and takes the frames over before the next one is read.
 */
export const handshake = (
  side: 'dialer' | 'acceptor',
  options: HandshakeOptions,
  purpose: Purpose,
  frames: () => FrameSocket,
  {
    onPeer,
    onEnd,
  }: Pick<FrameHandlers, 'onEnd'> & { onPeer(peer: Member, purpose: Purpose): void },
): { readonly handlers: FrameHandlers; readonly begin: () => void } => {
  const mine = JSON.stringify({
    protocol: protocolVersion,
    server: options.serverName,
    ...options.self(),
    purpose,
    nonce: randomBytes(proofBytes).toString('base64'),
  } satisfies Hello);
  let theirs: string | undefined;
  const proof = (prover: 'dialer' | 'acceptor'): Buffer => {
    const said = side === 'dialer' ? [mine, theirs] : [theirs, mine];
    return createHmac('sha256', options.secret)
      .update(JSON.stringify([prover, ...said]))
      .digest();
  };
  const say = (kind: number, text: string) => frames().send(encodeFrame(kind, text));
  const onFrame = (kind: number, payload: Buffer): void => {
    if (theirs === undefined) {
      if (kind !== frameKind.hello) throw new HandshakeFailed('No greeting');
      theirs = payload.toString('utf8');
      if (side === 'dialer') return;
      say(frameKind.hello, mine);
      say(frameKind.proof, proof('acceptor').toString('base64'));
      return;
    }
    const given = Buffer.from(payload.toString('latin1'), 'base64');
    const due = proof(side === 'dialer' ? 'acceptor' : 'dialer');
    if (kind !== frameKind.proof || given.length !== due.length || !timingSafeEqual(given, due)) {
      throw new HandshakeFailed('The other side does not know the secret of this server');
    }
    const hello = JSON.parse(theirs) as Hello;
    if (side === 'dialer') say(frameKind.proof, proof('dialer').toString('base64'));
    if (hello.server !== options.serverName || hello.protocol !== protocolVersion) {
      throw new HandshakeFailed(
        `The other side is ${hello.server} with protocol ${hello.protocol} between processes, this ` +
          `one ${options.serverName} with ${protocolVersion}`,
      );
    }
    onPeer({ id: hello.id, addresses: hello.addresses }, hello.purpose);
  };
  return {
    handlers: { onFrame, onEnd },
    begin: () => {
      if (side === 'dialer') say(frameKind.hello, mine);
    },
  };
};
