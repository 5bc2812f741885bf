import type { IncomingMessage } from 'node:http';
import { clientAddress } from './client-address.ts';

const from = (remoteAddress: string, forwarded?: string): IncomingMessage =>
  ({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
  }) as unknown as IncomingMessage;

describe('clientAddress', () => {
  it('ignores X-Forwarded-For unless the peer is a trusted proxy', () => {
    expect(clientAddress([])(from('::ffff:10.0.0.1', '1.2.3.4'))).toBe('10.0.0.1');
    expect(clientAddress(['10.0.0.0/8'])(from('192.0.2.1', '1.2.3.4'))).toBe('192.0.2.1');
  });

  it('believes only what trusted proxies wrote, from the right', () => {
    const address = clientAddress(['10.0.0.0/8', '::1']);
    expect(address(from('::ffff:10.0.0.1', '6.6.6.6, 1.2.3.4, 10.0.0.9'))).toBe('1.2.3.4');
    expect(address(from('::1', '10.0.0.9'))).toBe('10.0.0.9');
    expect(address(from('10.0.0.1', '1.2.3.4, nonsense'))).toBe('10.0.0.1');
    expect(address(from('10.0.0.1'))).toBe('10.0.0.1');
  });

  it('tells of peers that forward and are not trusted, once each, and of few', () => {
    const told: string[] = [];
    const address = clientAddress(['10.0.0.1'], (peer) => told.push(peer));
    address(from('192.0.2.1'));
    address(from('10.0.0.1', '1.2.3.4'));
    for (let n = 0; n < 20; n++) address(from(`192.0.2.${Math.floor(n / 2)}`, '1.2.3.4'));
    expect(told).toEqual(['192.0.2.0', '192.0.2.1', '192.0.2.2']);
    const none: string[] = [];
    clientAddress([], (peer) => none.push(peer))(from('127.0.0.1', '1.2.3.4'));
    expect(none).toEqual(['127.0.0.1']);
  });

  it('refuses a range that is not one', () => {
    expect(() => clientAddress(['10.0.0.0/99'])).toThrow();
  });
});
