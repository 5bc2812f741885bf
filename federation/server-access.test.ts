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
});
