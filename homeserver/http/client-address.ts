/**
 * The address a request is counted against: the peer's, or what a trusted proxy says it is.
 */
import type { IncomingMessage } from 'node:http';
import ipaddr from 'ipaddr.js';

const MAPPED_IPV4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;

const plain = (address: string): string => MAPPED_IPV4.exec(address)?.[1] ?? address;

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

const parseRange = (text: string): Range => {
  if (text.includes('/')) return ipaddr.parseCIDR(text);
  const address = ipaddr.parse(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
};

export type ClientAddress = (incoming: IncomingMessage) => string;

/**
 * `trustedProxies` are addresses or CIDR ranges. `X-Forwarded-For` is read from its right end, past
 * every trusted proxy, so that nothing a client wrote there itself is believed. Throws on a range
 * that is not one.
 */
export const clientAddress = (trustedProxies: readonly string[]): ClientAddress => {
  if (trustedProxies.length === 0) {
    return (incoming) => plain(incoming.socket.remoteAddress ?? '');
  }
  const ranges = trustedProxies.map(parseRange);
  const isTrusted = (address: string): boolean => {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return ranges.some(
      ([network, bits]) => network.kind() === parsed.kind() && parsed.match(network as never, bits),
    );
  };
  return (incoming) => {
    const peer = plain(incoming.socket.remoteAddress ?? '');
    const forwarded = incoming.headers['x-forwarded-for'];
    if (forwarded === undefined || !isTrusted(peer)) return peer;
    const hops = (Array.isArray(forwarded) ? forwarded.join(',') : forwarded).split(',');
    let client = peer;
    for (const hop of hops.reverse()) {
      const address = plain(hop.trim());
      if (!ipaddr.isValid(address)) return client;
      client = address;
      if (!isTrusted(address)) return client;
    }
    return client;
  };
};
