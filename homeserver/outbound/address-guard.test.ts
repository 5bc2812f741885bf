import { createAddressGuard } from './address-guard.ts';

describe('address guard', () => {
  const strict = createAddressGuard({});

  it.each([
    '1.1.1.1',
    '93.184.216.34',
    '2606:4700:4700::1111',
    '::ffff:1.1.1.1',
    '64:ff9b::101:101',
  ])('lets public %s pass', (address) => expect(strict(address)).toBe(true));

  it.each([
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.0.3'],
    ['loopback', '::1'],
    ['mapped loopback', '::ffff:127.0.0.1'],
    ['mapped loopback in hexadecimal', '::ffff:7f00:1'],
    ['NAT64 of a private address', '64:ff9b::10.0.0.1'],
    ['private', '10.1.2.3'],
    ['private', '172.16.0.1'],
    ['private', '192.168.1.1'],
    ['unique local', 'fd00::1'],
    ['link-local and cloud metadata', '169.254.169.254'],
    ['link-local', 'fe80::1'],
    ['link-local with zone', 'fe80::1%eth0'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['unspecified', '0.0.0.0'],
    ['unspecified', '::'],
    ['multicast', '224.0.0.1'],
    ['multicast', 'ff02::1'],
    ['broadcast', '255.255.255.255'],
    ['documentation', '192.0.2.1'],
    ['reserved', '240.0.0.1'],
    ['6to4', '2002:7f00:1::'],
    ['Teredo', '2001::1'],
    ['not an address', 'localhost'],
    ['nothing', ''],
  ])('refuses %s: %s', (_what, address) => expect(strict(address)).toBe(false));

  it('lets private addresses pass where configured, and still no multicast', () => {
    const lax = createAddressGuard({ allowPrivateAddresses: true });
    for (const address of [
      '127.0.0.1',
      '::1',
      '10.0.0.1',
      '100.64.0.1',
      'fd00::1',
      '169.254.1.1',
    ]) {
      expect([address, lax(address)]).toEqual([address, true]);
    }
    expect(lax('224.0.0.1')).toBe(false);
    expect(lax('0.0.0.0')).toBe(false);
  });

  it('lets listed ranges pass and nothing beside them', () => {
    const guard = createAddressGuard({ allowedRanges: ['10.5.0.0/16', 'fd12::/32'] });
    expect(guard('10.5.9.9')).toBe(true);
    expect(guard('::ffff:10.5.9.9')).toBe(true);
    expect(guard('10.6.0.1')).toBe(false);
    expect(guard('fd12::1')).toBe(true);
    expect(guard('fd13::1')).toBe(false);
  });

  it('refuses listed ranges above everything', () => {
    const guard = createAddressGuard({
      allowPrivateAddresses: true,
      allowedRanges: ['10.0.0.0/8'],
      refusedRanges: ['10.9.0.0/16', '1.1.1.0/24'],
    });
    expect(guard('10.8.0.1')).toBe(true);
    expect(guard('10.9.0.1')).toBe(false);
    expect(guard('1.1.1.1')).toBe(false);
  });

  it('does not accept a range it cannot read', () => {
    expect(() => createAddressGuard({ allowedRanges: ['10.0.0.0'] })).toThrow();
  });
});
