import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerName } from '../../spec/identifiers.ts';
import { verifySignedJson } from '../../spec/signing.ts';
import { silentLogger } from '../ops/logger.ts';
import { systemRandom } from '../random.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { formatKeyFile, parseKeyFile, rotateSigningKey } from './key-file.ts';
import { SigningKeys } from './signing-keys.ts';

const SEED = 'YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1';
const PUBLIC = 'XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI';

describe('signing keys', () => {
  const clock = new FakeClock();
  const serverName = 'here.test' as ServerName;
  let folder: string;
  let path: string;
  const opened: SigningKeys[] = [];
  const open = async () => {
    const keys = await SigningKeys.open({
      path,
      serverName,
      clock,
      random: systemRandom,
      logger: silentLogger,
    });
    opened.push(keys);
    return keys;
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keys-'));
    path = join(folder, 'signing.key');
  });
  afterEach(async () => {
    for (const keys of opened.splice(0)) keys.close();
    await rm(folder, { recursive: true });
  });

  it('makes a key on first start, for its owner alone, and finds it again', async () => {
    const first = await open();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(first.current.keyId).toMatch(/^ed25519:a_[0-9a-f]{8}$/);
    expect((await open()).current).toEqual(first.current);
  });

  it("reads another server's file, and writes it back unchanged", () => {
    const text = `ed25519 1 ${SEED}\nold ed25519 a_0 ${PUBLIC} 1700000000000\n`;
    const keys = parseKeyFile(`\n# words\n${text}`);
    expect(keys.current[0]).toMatchObject({ keyId: 'ed25519:1', publicKey: PUBLIC });
    expect(keys.retired).toEqual([
      { keyId: 'ed25519:a_0', publicKey: PUBLIC, expiredTs: 1_700_000_000_000 },
    ]);
    // The last character of a seed has two bits to spare, which are not kept.
    expect(parseKeyFile(formatKeyFile(keys))).toEqual(keys);
  });

  it.each(['', '# nothing', 'ed25519 a b', `rsa a ${SEED}`, `old ed25519 a ${PUBLIC} soon`])(
    'refuses to start with the file %j',
    async (text) => {
      await writeFile(path, text);
      await expect(open()).rejects.toThrow(/signing key file/);
    },
  );

  it('publishes its keys, signed, for a day, and renews the document in time', async () => {
    const keys = await open();
    const document = keys.document();
    const { keyId, publicKey } = keys.current;
    expect(document).toMatchObject({
      server_name: 'here.test',
      verify_keys: { [keyId]: { key: publicKey } },
      old_verify_keys: {},
      valid_until_ts: clock.nowMs() + 86_400_000,
    });
    expect(verifySignedJson(document, serverName, keyId, publicKey)).toBe(true);
    clock.advance(3_599_999);
    expect(keys.document()).toBe(document);
    clock.advance(1);
    expect(keys.document()['valid_until_ts']).toBe(clock.nowMs() + 86_400_000);
  });

  it('rotates while running: the old key is retired, not forgotten', async () => {
    const keys = await open();
    const old = keys.current;
    await rotateSigningKey(path, { clock, random: systemRandom });
    await keys.reload();
    expect(keys.current.keyId).not.toBe(old.keyId);
    expect(keys.document()).toMatchObject({
      verify_keys: { [keys.current.keyId]: { key: keys.current.publicKey } },
      old_verify_keys: { [old.keyId]: { key: old.publicKey, expired_ts: clock.nowMs() + 60_000 } },
    });
    expect(await readFile(path, 'utf8')).not.toContain(
      Buffer.from(old.seed).toString('base64').slice(0, 40),
    );
    expect((await open()).document()).toMatchObject({
      old_verify_keys: { [old.keyId]: { key: old.publicKey } },
    });
  });

  it('keeps its keys when the file becomes unreadable', async () => {
    const keys = await open();
    const { current } = keys;
    await writeFile(path, 'oops');
    await keys.reload();
    expect(keys.current).toBe(current);
  });
});
