import type { ServerName } from '../spec/identifiers.ts';
import { serverAccess } from './server-access.ts';

describe('server access', () => {
  const passes = (
    name: string,
    lists: { enabled?: boolean; allowed?: string[] | null; denied?: string[] } = {},
  ) =>
    serverAccess({
      enabled: lists.enabled ?? true,
      allowed_servers: lists.allowed ?? null,
      denied_servers: lists.denied ?? [],
    })(name as ServerName);

  it('lets everyone pass unless told otherwise', () => {
    expect(passes('a.test')).toBe(true);
    expect(passes('a.test', { enabled: false })).toBe(false);
    expect(passes('a.test', { allowed: [] })).toBe(false);
  });

  it('goes by patterns for whole names, whatever their case; denials prevail', () => {
    const lists = { allowed: ['*.good.test', 'one?.test'], denied: ['bad.GOOD.test'] };
    expect(passes('x.good.test', lists)).toBe(true);
    expect(passes('one1.test', lists)).toBe(true);
    expect(passes('one12.test', lists)).toBe(false);
    expect(passes('good.test.evil', lists)).toBe(false);
    expect(passes('Bad.good.test', lists)).toBe(false);
  });

  it('denies a machine whatever the port and spelling', () => {
    const lists = { denied: ['spam.example.org', 'one.test:8448', '10.0.0.*', '[2001:db8::1]'] };
    for (const name of [
      'spam.example.org:8448',
      'SPAM.example.org.',
      'spam.example.org.:443',
      'one.test:8448',
      '10.0.0.7:8448',
      '0x0a000007',
      '[2001:0db8:0::1]:8448',
    ]) {
      expect([name, passes(name, lists)]).toEqual([name, false]);
    }
    expect(passes('one.test', lists)).toBe(true);
    expect(passes('example.org', lists)).toBe(true);
  });
});
