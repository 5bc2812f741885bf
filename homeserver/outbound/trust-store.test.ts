import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { createTestAuthority } from './testing/test-authority.ts';
import { createTrustStore, systemAuthorities } from './trust-store.ts';

describe('trust store', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trust-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('has the authorities of the system', () => {
    expect(systemAuthorities().length).toBeGreaterThan(20);
  });

  it('adds those of a file', async () => {
    const authority = createTestAuthority();
    const file = join(folder, 'ca.pem');
    await writeFile(file, `some words before\n${authority.caPem}`);
    const server = createServer(authority.issue(['peer.test']));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const authorized = (secureContext: ReturnType<typeof createTrustStore>) =>
      new Promise((resolve) => {
        const { port } = server.address() as AddressInfo;
        const socket = connect(
          {
            host: '127.0.0.1',
            port,
            servername: 'peer.test',
            secureContext,
            rejectUnauthorized: false,
          },
          () => {
            resolve(socket.authorized);
            socket.destroy();
          },
        );
      });
    expect(await authorized(createTrustStore(file))).toBe(true);
    expect(await authorized(createTrustStore())).toBe(false);
    await new Promise((resolve) => server.close(resolve));
  });

  it('does not start with a file that has no certificate', async () => {
    const file = join(folder, 'empty.pem');
    await writeFile(file, 'nothing here');
    expect(() => createTrustStore(file)).toThrow('no certificate');
    expect(() => createTrustStore(join(folder, 'missing.pem'))).toThrow();
  });
});
