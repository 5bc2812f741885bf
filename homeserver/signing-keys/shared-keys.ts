/**
 * Where several machines are one server, all of them sign with the same keys. Each has its key file;
 * the database has the text that they agree on, so that a new machine needs no copy made by hand, and
 * a rotation on one reaches the others. A file that knows all of the other's keys is the newer one.
 */
import { existsSync } from 'node:fs';
import { StartFailure } from '../ops/start-failure.ts';
import type { Random } from '../random.ts';
import { lockSharedKeyText, writeSharedKeyText } from '../storage/cluster.ts';
import type { Database } from '../storage/database.ts';
import {
  formatKeyFile,
  type KeySet,
  openKeyFile,
  parseKeyFile,
  readKeyFile,
  writeKeyFile,
} from './key-file.ts';

/**
 * Brings file and database in line, and answers the keys of both.
 * @throws {StartFailure} when each has a key that the other does not know
 */
export const agreeOnKeys = (database: Database, path: string, random: Random): Promise<KeySet> =>
  database.transaction(async (tx) => {
    const text = await lockSharedKeyText(tx);
    if (text === undefined) {
      const first = await openKeyFile(path, random);
      await writeSharedKeyText(tx, formatKeyFile(first));
      return first;
    }
    const shared = parseKeyFile(text);
    const own = existsSync(path) ? await readKeyFile(path) : undefined;
    if (own !== undefined && formatKeyFile(own) === text) return own;
    if (own === undefined || knowsAll(shared, own)) {
      await writeKeyFile(path, shared);
      return shared;
    }
    if (!knowsAll(own, shared)) throw differentKeys(path, own, shared);
    await writeSharedKeyText(tx, formatKeyFile(own));
    return own;
  });

const keysOf = ({ current, retired }: KeySet): string[] =>
  [...current, ...retired].map(({ keyId, publicKey }) => `${keyId} ${publicKey}`);

const knowsAll = (newer: KeySet, older: KeySet): boolean => {
  const known = new Set(keysOf(newer));
  return keysOf(older).every((key) => known.has(key));
};

const differentKeys = (path: string, own: KeySet, shared: KeySet): StartFailure =>
  new StartFailure(
    'config',
    `The other machines of this server sign with ${shared.current[0].keyId}, and the file ${path} ` +
      `has another key, ${own.current[0].keyId}. Move the file away, and this machine takes over ` +
      'their keys from the database. If it is the right one, add the lines of theirs to it instead: ' +
      'a file that has all keys is taken over by everyone.',
  );
