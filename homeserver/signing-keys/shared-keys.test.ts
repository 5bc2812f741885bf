import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerName } from '../../spec/identifiers.ts';
import { silentLogger } from '../ops/logger.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { seededRandom } from '../testing/seeded-random.ts';
import { type TestDatabase, testDatabase } from '../testing/test-database.ts';
import { rotateSigningKey } from './key-file.ts';
import { SigningKeys } from './signing-keys.ts';

let folder: string;
let test: TestDatabase;
const opened: SigningKeys[] = [];
const clock = new FakeClock();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-keys-'));
  test = await testDatabase();
});
afterEach(async () => {
  for (const keys of opened.splice(0)) keys.close();
  await test.close();
  await rm(folder, { recursive: true });
});

const fileOf = (machine: string): string => join(folder, `${machine}.key`);

const open = async (machine: string): Promise<SigningKeys> => {
  const keys = await SigningKeys.open({
    path: fileOf(machine),
    shared: test.database,
    serverName: 'example.org' as ServerName,
    clock,
    random: seededRandom(machine),
    logger: silentLogger,
  });
  opened.push(keys);
  return keys;
};

describe('machines that are one server', () => {
  it('sign with one key, whichever of them were started first', async () => {
    const machines = await Promise.all(['a', 'b', 'c'].map(open));
    expect(new Set(machines.map(({ current }) => current.publicKey)).size).toBe(1);
    expect(await readFile(fileOf('b'), 'utf8')).toBe(await readFile(fileOf('a'), 'utf8'));
    expect((await open('a')).current.keyId).toBe(machines[0]?.current.keyId);
  });

  it('take over a rotation, running or not', async () => {
    const [a, b, stopped] = await Promise.all(['a', 'b', 'stopped'].map(open));
    stopped?.close();
    const before = a?.current.keyId;
    await rotateSigningKey(fileOf('a'), { clock, random: seededRandom('next') });
    await a?.reload();
    await b?.reload();
    expect(a?.current.keyId).not.toBe(before);
    expect(b?.current.keyId).toBe(a?.current.keyId);
    expect(b?.keys.retired.map(({ keyId }) => keyId)).toEqual([before]);
    expect((await open('stopped')).current.keyId).toBe(a?.current.keyId);
  });

  it('refuse one with a key of its own, and say how to mend it', async () => {
    const a = await open('a');
    const alone = join(folder, 'stranger.key');
    const stranger = await SigningKeys.open({
      path: alone,
      serverName: 'example.org' as ServerName,
      clock,
      random: seededRandom('stranger'),
      logger: silentLogger,
    });
    stranger.close();
    const refusal = await open('stranger').catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(StartFailure);
    expect((refusal as StartFailure).message).toContain(a.current.keyId);
    expect((refusal as StartFailure).message).toContain(stranger.current.keyId);
    await a.reload();
    expect(a.current).not.toEqual(stranger.current);

    // As the message says.
    await writeFile(alone, (await readFile(alone, 'utf8')) + (await readFile(fileOf('a'), 'utf8')));
    expect((await open('stranger')).current.keyId).toBe(stranger.current.keyId);
    await a.reload();
    expect(a.current.keyId).toBe(stranger.current.keyId);
    expect(a.keys.current).toHaveLength(2);
  });
});
