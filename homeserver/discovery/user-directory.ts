/**
 * Finding people by name: everyone one shares a room with, and everyone in rooms open to all.
 * https://spec.matrix.org/v1.19/client-server-api/#user-directory
 */
import { isUserId, type ServerName, type UserId } from '../../spec/identifiers.ts';
import { wordsOf } from '../../spec/words.ts';
import type { Db, Tx } from '../storage/database.ts';
import {
  type DirectoryChange,
  type DirectoryUser,
  directoryChanges,
  findDirectoryUsers,
  hasLocalMember,
  putDirectoryUsers,
  putOpenRoom,
} from '../storage/user-directory.ts';
import { LogReader, type LogReaderDeps } from '../streams/log-reader.ts';

export type { DirectoryUser } from '../storage/user-directory.ts';

const changesPerStep = 500;
const maxNameLength = 256;
const maxWords = 20;

export class UserDirectory {
  readonly #db: Db;
  readonly #reader: LogReader;

  constructor(deps: LogReaderDeps & { readonly serverName: ServerName }) {
    this.#db = deps.database;
    this.#reader = new LogReader('user directory', deps, (tx, after, upTo) =>
      followMembers(tx, deps.serverName, after, upTo),
    );
  }

  /** The best matches first. */
  async search(searcher: UserId, term: string, limit: number): Promise<DirectoryUser[]> {
    const words = wordsOf(term, maxWords);
    if (words.length === 0) return [];
    await this.#reader.catchUp();
    const exact = term.trim().replace(/^@/, '').toLowerCase();
    return findDirectoryUsers(this.#db, searcher, words, exact, limit);
  }

  close(): Promise<void> {
    return this.#reader.close();
  }
}

const followMembers = async (
  tx: Tx,
  serverName: ServerName,
  after: number,
  upTo: number,
): Promise<number> => {
  const changes = await directoryChanges(tx, after, upTo, changesPerStep);
  const users = new Map<UserId, DirectoryUser & { words: string[] }>();
  /** Rooms in which members of this server come or go. */
  const touched = new Set<number>();
  for (const change of changes) {
    if (change.type === 'm.room.member') {
      const user = userIn(change);
      if (user !== undefined) users.set(user.userId, user);
      if (change.stateKey.endsWith(`:${serverName}`)) touched.add(change.roomNid);
    } else if (change.stateKey === '') await followOpenness(tx, change);
  }
  for (const roomNid of touched) {
    const present = await hasLocalMember(tx, roomNid, serverName);
    await putOpenRoom(tx, roomNid, 'present', present);
  }
  if (users.size > 0) await putDirectoryUsers(tx, [...users.values()]);
  return changes.length < changesPerStep ? upTo : (changes.at(-1) as DirectoryChange).streamPos;
};

const userIn = ({
  stateKey,
  content,
}: DirectoryChange): (DirectoryUser & { words: string[] }) | undefined => {
  if (content?.['membership'] !== 'join' || !isUserId(stateKey)) return undefined;
  const displayName = textIn(content['displayname']);
  const avatarUrl = textIn(content['avatar_url']);
  const words = wordsOf(`${stateKey} ${displayName ?? ''}`);
  return { userId: stateKey, displayName, avatarUrl, words };
};

const textIn = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== ''
    ? value.replaceAll('\u0000', '').slice(0, maxNameLength)
    : undefined;

const followOpenness = (tx: Tx, { roomNid, type, content }: DirectoryChange): Promise<void> =>
  type === 'm.room.join_rules'
    ? putOpenRoom(tx, roomNid, 'public_join', content?.['join_rule'] === 'public')
    : putOpenRoom(
        tx,
        roomNid,
        'world_readable',
        content?.['history_visibility'] === 'world_readable',
      );
