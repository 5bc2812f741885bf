/**
 * The file that holds this server's signing keys. One line each:
 *
 *     ed25519 a_Xy12 <seed, unpadded base64>                       a key in use; the first one signs
 *     old ed25519 a_Ab34 <public key, unpadded base64> <expired_ts>  a key no longer used
 *
 * Lines in use are those of Synapse's signing key file, so that one can be taken over as it is.
 * Retired keys stay in the same file, so that one rename makes a rotation whole. Back it up: a
 * server that loses it can no longer prove to be itself.
 */
import { existsSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { decodeBase64, encodeBase64 } from '../../spec/base64.ts';
import { isPublicKey, type SigningKey, signingKeyFromSeed } from '../../spec/signing.ts';
import type { Clock } from '../clock.ts';
import type { Random } from '../random.ts';

export interface RetiredKey {
  /** With its algorithm: `ed25519:a_1`. */
  readonly keyId: string;
  /** Unpadded base64. */
  readonly publicKey: string;
  /** Milliseconds since the epoch: signatures made later do not count. */
  readonly expiredTs: number;
}

export interface KeySet {
  /** Never empty; the first one signs. */
  readonly current: readonly [SigningKey, ...SigningKey[]];
  readonly retired: readonly RetiredKey[];
}

const CURRENT = /^ed25519 ([A-Za-z0-9_]+) ([A-Za-z0-9+/]{43}=?)$/;
const RETIRED = /^old ed25519 ([A-Za-z0-9_]+) ([A-Za-z0-9+/]{43}=?) ([0-9]{1,16})$/;

/** @throws for a line that is neither kind of key, and for a file without a key in use */
export const parseKeyFile = (text: string): KeySet => {
  const current: SigningKey[] = [];
  const retired: RetiredKey[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const used = CURRENT.exec(line);
    const old = RETIRED.exec(line);
    if (used !== null) {
      const [, version, seed] = used as unknown as [string, string, string];
      current.push(signingKeyFromSeed(version, decodeBase64(seed) as Buffer));
    } else if (old !== null && isPublicKey(old[2] as string)) {
      const [, version, publicKey, expired] = old as unknown as [string, string, string, string];
      retired.push({ keyId: `ed25519:${version}`, publicKey, expiredTs: Number(expired) });
    } else {
      throw new Error(`line ${index + 1} of the signing key file is not a key`);
    }
  }
  const [first, ...others] = current;
  if (first === undefined) throw new Error('the signing key file has no key in use');
  return { current: [first, ...others], retired };
};

const versionOf = (keyId: string): string => keyId.slice(keyId.indexOf(':') + 1);

export const formatKeyFile = ({ current, retired }: KeySet): string =>
  [
    ...current.map(({ keyId, seed }) => `ed25519 ${versionOf(keyId)} ${encodeBase64(seed)}`),
    ...retired.map(
      ({ keyId, publicKey, expiredTs }) =>
        `old ed25519 ${versionOf(keyId)} ${publicKey} ${expiredTs}`,
    ),
    '',
  ].join('\n');

const newSigningKey = (random: Random): SigningKey =>
  signingKeyFromSeed(`a_${random.bytes(4).toString('hex')}`, random.bytes(32));

/** Readable by its owner alone, and on the disk before it takes the old one's place. */
export const writeKeyFile = async (path: string, keys: KeySet): Promise<void> => {
  // Several processes of one machine may do so at the same time.
  const partial = `${path}.new-${process.pid}`;
  const file = await open(partial, 'w', 0o600);
  try {
    await file.writeFile(formatKeyFile(keys));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};

export const readKeyFile = async (path: string): Promise<KeySet> =>
  parseKeyFile(await readFile(path, 'utf8'));

/** Reads the file, making it with a new key where there is none. The folder must exist. */
export const openKeyFile = async (path: string, random: Random): Promise<KeySet> => {
  if (!existsSync(path)) {
    await writeKeyFile(path, { current: [newSigningKey(random)], retired: [] });
  }
  return readKeyFile(path);
};

/**
 * The running server notices a new file within this time and signs with the old key until then, so
 * a retired key stays valid for longer than that.
 */
export const RELOAD_INTERVAL_MS = 10_000;
const RETIREMENT_OVERLAP_MS = 60_000;

/** Puts a new key in use and retires all others; answers the new set. Needs no restart. */
export const rotateSigningKey = async (
  path: string,
  { clock, random }: { clock: Clock; random: Random },
): Promise<KeySet> => {
  const { current, retired } = await readKeyFile(path);
  const expiredTs = clock.nowMs() + RETIREMENT_OVERLAP_MS;
  const rotated: KeySet = {
    current: [newSigningKey(random)],
    retired: [
      ...current.map(({ keyId, publicKey }) => ({ keyId, publicKey, expiredTs })),
      ...retired,
    ],
  };
  await writeKeyFile(path, rotated);
  return rotated;
};
