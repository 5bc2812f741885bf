/**
 * The address a request is counted against: the peer's, or what a trusted proxy says it is.
 */
import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

const MAPPED_IPV4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;

/** IPv4 addresses as such, also where they come mapped into IPv6. */
export const plainAddress = (address: string): string => MAPPED_IPV4.exec(address)?.[1] ?? address;

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

const parseRange = (text: string): Range => {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
};

/** Tells whether an address is in one of the ranges. Throws on a range that is not one. */
export const addressRanges = (texts: readonly string[]): ((address: string) => boolean) => {
  const ranges = texts.map(parseRange);
  return (address) => {
    if (ranges.length === 0 || !ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return ranges.some(
      ([network, bits]) => network.kind() === parsed.kind() && parsed.match(network as never, bits),
    );
  };
};

const MAX_TOLD = 3;

export type ClientAddress = (incoming: IncomingMessage) => string;

/**
 * `trustedProxies` are addresses or CIDR ranges. `X-Forwarded-For` is read from its right end, past
 * every trusted proxy, so that nothing a client wrote there itself is believed. `onUntrusted` hears
 * of the first few peers that send the header and are not trusted: a proxy that was forgotten, or
 * somebody who pretends. Throws on a range that is not one.
 */
export const clientAddress = (
  trustedProxies: readonly string[],
  onUntrusted: (peer: string) => void = () => undefined,
): ClientAddress => {
  const told = new Set<string>();
  const isTrusted = addressRanges(trustedProxies);
  return (incoming) => {
    const peer = plainAddress(incoming.socket.remoteAddress ?? '');
    const forwarded = incoming.headers['x-forwarded-for'];
    if (forwarded === undefined) return peer;
    if (!isTrusted(peer)) {
      if (told.size < MAX_TOLD && !told.has(peer)) {
        told.add(peer);
        onUntrusted(peer);
      }
      return peer;
    }
    const hops = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded).split(',');
    let client = peer;
    for (const hop of hops.reverse()) {
      const address = plainAddress(hop.trim());
      if (!ipaddr.isValid(address)) return client;
      client = address;
      if (!isTrusted(address)) return client;
    }
    return client;
  };
};
