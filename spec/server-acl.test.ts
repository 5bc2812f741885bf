import type { JsonObject } from './event.ts';
import type { ServerName } from './identifiers.ts';
import { serverAclOf } from './server-acl.ts';

const allows = (content: JsonObject | undefined, server: string): boolean =>
  serverAclOf(content).allows(server as ServerName);

describe('server ACLs', () => {
  it('let everyone in where the room has none', () => {
    expect(allows(undefined, 'evil.com')).toBe(true);
  });

  it('let nobody in without an allow list', () => {
    expect(allows({}, 'good.com')).toBe(false);
    expect(allows({ allow: 'good.com' }, 'good.com')).toBe(false);
    expect(allows({ allow: [7, null] }, 'good.com')).toBe(false);
  });

  it('put deny before allow', () => {
    const content = { allow: ['*'], deny: ['evil.com', '*.evil.com'] };
    expect(allows(content, 'good.com')).toBe(true);
    expect(allows(content, 'evil.com')).toBe(false);
    expect(allows(content, 'very.evil.com')).toBe(false);
    expect(allows(content, 'notevil.com')).toBe(true);
  });

  it('ignore ports and case', () => {
    const content = { allow: ['*'], deny: ['Evil.COM'] };
    expect(allows(content, 'evil.com:8448')).toBe(false);
    expect(allows(content, 'EVIL.com:1234')).toBe(false);
  });

  it('know ? as any one character', () => {
    const content = { allow: ['s?.test'] };
    expect(allows(content, 's1.test')).toBe(true);
    expect(allows(content, 's12.test')).toBe(false);
  });

  it.each(['1.2.3.4', '1.2.3.4:8448', '[::1]', '[2001:db8::1]:8448'])(
    'refuse literal %s',
    (name) => {
      expect(allows({ allow: ['*'], allow_ip_literals: false }, name)).toBe(false);
      expect(allows({ allow: ['*'] }, name)).toBe(true);
      expect(allows({ allow: ['*'], allow_ip_literals: 'no' }, name)).toBe(true);
    },
  );

  it('match the text of an IPv6 literal with its brackets', () => {
    expect(allows({ allow: ['[::1]'] }, '[::1]:8448')).toBe(true);
  });

  it.each([
    ['evil.org', 'evil.org.'],
    ['evil.org.', 'evil.org'],
    ['*.evil.org', 'very.evil.org.:8448'],
    ['1.2.3.4', '1.2.772'],
    ['1.2.3.4', '16909060'],
    ['1.2.3.4', '0x01020304:8448'],
    ['1.2.3.4', '[::ffff:1.2.3.4]'],
    ['1.2.3.*', '1.2.3.4.'],
    ['[2001:db8::1]', '[2001:0db8:0::1]:8448'],
    ['[2001:0DB8:0:0::1]', '[2001:db8::1]'],
  ])('deny %s by every spelling: %s', (deny, name) => {
    expect(allows({ allow: ['*'], deny: [deny] }, name)).toBe(false);
    expect(allows({ allow: ['*'], deny: ['other.org'] }, name)).toBe(true);
  });

  it.each(['1.2.772', '16909060', '0x01020304', '0x7f.1:80', '1.2.3.4.'])(
    'take %s for the address it is',
    (name) => expect(allows({ allow: ['*'], allow_ip_literals: false }, name)).toBe(false),
  );

  it('allow only what is written', () => {
    expect(allows({ allow: ['good.org'] }, 'good.org.')).toBe(false);
    expect(allows({ allow: ['1.2.3.4'] }, '16909060')).toBe(false);
    expect(allows({ allow: ['*'], allow_ip_literals: false }, '1.example.org')).toBe(true);
  });
});
