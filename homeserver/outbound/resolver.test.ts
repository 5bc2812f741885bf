import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DnsFailure, DnsResolver } from './resolver.ts';
import { TestDns } from './testing/test-dns.ts';

describe('DNS resolver', () => {
  let dns: TestDns;
  let nowMs = 1_000_000;
  const clock = { nowMs: () => nowMs };
  const resolver = (hostsFile = '/nonexistent') =>
    new DnsResolver({ servers: [dns.server], timeoutMs: 200, hostsFile, clock });

  beforeEach(async () => {
    dns = await TestDns.start({
      'both.test': { addresses: ['192.0.2.1', '2001:db8::1'] },
      'alias.test': { cname: 'both.test' },
      'empty.test': {},
      'broken.test': { broken: true },
      'silent.test': { silent: true },
      '_matrix-fed._tcp.srv.test': { srv: [{ target: 'both.test', port: 8449, priority: 5 }] },
    });
  });
  afterEach(() => dns.stop());

  it('finds addresses of both families, through aliases', async () => {
    expect(await resolver().addresses('both.test')).toEqual(['2001:db8::1', '192.0.2.1']);
    expect(await resolver().addresses('alias.test')).toEqual(['2001:db8::1', '192.0.2.1']);
  });

  it.each([
    ['missing.test', true],
    ['empty.test', true],
    ['broken.test', false],
    ['silent.test', false],
  ])('tells a missing name from a failing server: %s', async (name, notFound) => {
    const failure = await resolver()
      .addresses(name)
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DnsFailure);
    expect(failure).toMatchObject({ notFound });
  });

  it('finds services; none is an ordinary answer, a failing server is not', async () => {
    expect(await resolver().services('_matrix-fed._tcp.srv.test')).toEqual([
      { target: 'both.test', port: 8449, priority: 5, weight: 0 },
    ]);
    expect(await resolver().services('_matrix-fed._tcp.none.test')).toEqual([]);
    await expect(resolver().services('broken.test')).rejects.toThrow(DnsFailure);
  });

  it('keeps an answer for its lifetime, and one query serves all who wait', async () => {
    const one = resolver();
    await Promise.all([one.addresses('both.test'), one.addresses('both.test')]);
    await one.addresses('both.test');
    expect(dns.queries).toHaveLength(2);
    nowMs += 61_000;
    await one.addresses('both.test');
    expect(dns.queries).toHaveLength(4);
  });

  it('keeps a failure for a moment only', async () => {
    const one = resolver();
    await expect(one.addresses('late.test')).rejects.toThrow(DnsFailure);
    dns.names.set('late.test', { addresses: ['192.0.2.7'] });
    await expect(one.addresses('late.test')).rejects.toThrow(DnsFailure);
    nowMs += 31_000;
    expect(await one.addresses('late.test')).toEqual(['192.0.2.7']);
  });

  it('prefers the hosts file and notices its changes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hosts-'));
    const file = join(folder, 'hosts');
    await writeFile(file, '# comment\n192.0.2.9 both.test other # more\n');
    const one = resolver(file);
    expect(await one.addresses('both.test')).toEqual(['192.0.2.9']);
    expect(dns.queries).toEqual([]);
    await writeFile(file, '::5 BOTH.test\nnonsense line\n');
    nowMs += 11_000;
    expect(await one.addresses('both.test')).toEqual(['::5']);
    await rm(folder, { recursive: true });
  });
});
