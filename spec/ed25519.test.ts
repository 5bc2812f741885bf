import fc from 'fast-check';
import nacl from 'tweetnacl';
import { nodeEd25519, PUBLIC_KEY_BYTES, SEED_BYTES, sodiumEd25519 } from './ed25519.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const pairOf = (seed: Uint8Array) => ({
  seed,
  publicKey: nacl.sign.keyPair.fromSeed(seed).publicKey,
});

describe.each([
  ['libsodium', sodiumEd25519 ?? nodeEd25519],
  ['node:crypto', nodeEd25519],
])('Ed25519 by %s', (_name, ed25519) => {
  it('makes the signatures that tweetnacl makes, and knows them from others', () => {
    fc.assert(
      fc.property(bytes(SEED_BYTES), fc.uint8Array(), (seed, message) => {
        const pair = pairOf(seed);
        const signature = ed25519.signer(pair)(Buffer.from(message));
        const { secretKey } = nacl.sign.keyPair.fromSeed(seed);
        expect(signature).toEqual(Buffer.from(nacl.sign.detached(message, secretKey)));
        const verify = ed25519.verifier(Buffer.from(pair.publicKey));
        expect(verify(Buffer.from(message), signature)).toBe(true);
        expect(verify(Buffer.from([...message, 0]), signature)).toBe(false);
        const changed = Buffer.from(signature);
        changed[0] = (changed[0] as number) ^ 1;
        expect(verify(Buffer.from(message), changed)).toBe(false);
      }),
      { numRuns: 20 },
    );
  });

  it('refuses by a key that is no point of the curve, without an error', () => {
    const pair = pairOf(Buffer.alloc(SEED_BYTES, 7));
    const signature = ed25519.signer(pair)(Buffer.from('text'));
    // y = 2: no x belongs to it.
    const noPoint = Buffer.alloc(PUBLIC_KEY_BYTES);
    noPoint[0] = 2;
    expect(ed25519.verifier(noPoint)(Buffer.from('text'), signature)).toBe(false);
  });
});

it('libsodium is there on the platforms its package serves', () => {
  const isServed =
    ['linux', 'darwin', 'win32'].includes(process.platform) &&
    ['x64', 'arm64'].includes(process.arch) &&
    // The package's binaries for Linux are for glibc.
    (process.platform !== 'linux' || isGlibc());
  expect(sodiumEd25519 !== undefined).toBe(isServed);
});

const isGlibc = (): boolean => {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime !== undefined;
};
