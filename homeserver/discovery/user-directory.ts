/**
 * Finding people by a part of their name: everyone one shares a room with, and everyone in rooms open
 * to all. People of this server are known by their profile, whatever they call themselves in some
 * room; people of others by their names in the rooms that the searcher could read them in.
 * https://spec.matrix.org/v1.19/client-server-api/#user-directory
 */

import type { JsonObject } from '../../spec/event.ts';
import { isUserId, type ServerName, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import { wordsOf } from '../../spec/words.ts';
import type { Db, Tx } from '../storage/database.ts';
import { type ProfileFields, profilesOf } from '../storage/profiles.ts';
import {
  anyRoom,
  type DirectoryChange,
  type DirectoryEntry,
  type DirectoryUser,
  deleteDirectoryUsers,
  directoryChanges,
  findDirectoryUsers,
  type OpenRoom,
  putDirectoryUsers,
  putOpenRooms,
  roomsWithLocalMembers,
} from '../storage/user-directory.ts';
import { LogReader, type LogReaderDeps } from '../streams/log-reader.ts';

export type { DirectoryUser } from '../storage/user-directory.ts';

const changesPerStep = 500;
const maxNameLength = 256;
const maxWords = 20;
/** Ends of words that one name is found by. */
const maxParts = 200;
/** Every word has its end, and what is shorter than this is found as a whole only. */
const minPartLength = 2;
const noProfiles: ReadonlyMap<UserId, ProfileFields> = new Map();

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
  let count = 0;
  let last = after;
  /** Rooms in which members of this server come or go. */
  const touched = new Set<number>();
  const open = new Map<number, OpenRoom>();
  for await (const changes of directoryChanges(tx, after, upTo, changesPerStep)) {
    const members: DirectoryChange[] = [];
    for (const change of changes) {
      if (change.type === 'm.room.member') members.push(change);
      else if (change.stateKey === '') followOpenness(open, change);
    }
    await followNames(tx, serverName, members, touched);
    count += changes.length;
    last = (changes.at(-1) as DirectoryChange).streamPos;
  }
  if (touched.size > 0) {
    const present = await roomsWithLocalMembers(tx, [...touched], serverName);
    for (const roomNid of touched) openRoom(open, roomNid).present = present.has(roomNid);
  }
  if (open.size > 0) await putOpenRooms(tx, open);
  return count < changesPerStep ? upTo : last;
};

/** Takes what members are called after these changes; adds to `touched` the rooms of our own. */
const followNames = async (
  tx: Tx,
  serverName: ServerName,
  changes: readonly DirectoryChange[],
  touched: Set<number>,
): Promise<void> => {
  const entries = new Map<string, DirectoryEntry>();
  const gone = new Map<string, { userId: UserId; roomNid: number }>();
  const locals = new Set<UserId>();
  for (const { stateKey: userId, roomNid, content } of changes) {
    if (!isUserId(userId)) continue;
    const isJoined = content?.['membership'] === 'join';
    const key = `${roomNid} ${userId}`;
    entries.delete(key);
    gone.delete(key);
    if (serverNameOf(userId) === serverName) {
      touched.add(roomNid);
      if (isJoined) locals.add(userId);
    } else if (isJoined) entries.set(key, entryOf(userId, roomNid, content));
    else gone.set(key, { userId, roomNid });
  }
  const profiles = locals.size === 0 ? noProfiles : await profilesOf(tx, [...locals]);
  for (const userId of locals) {
    entries.set(userId, entryOf(userId, anyRoom, profiles.get(userId) ?? {}));
  }
  if (gone.size > 0) await deleteDirectoryUsers(tx, [...gone.values()]);
  if (entries.size > 0) await putDirectoryUsers(tx, [...entries.values()]);
};

/** @param profile with the properties of a profile or of a member event */
const entryOf = (userId: UserId, roomNid: number, profile: JsonObject): DirectoryEntry => {
  const displayName = textIn(profile['displayname']);
  const avatarUrl = textIn(profile['avatar_url']);
  const localpart = userId.slice(1, userId.indexOf(':'));
  const parts = partsOf(wordsOf(`${localpart} ${displayName ?? ''}`));
  const words = [...new Set([...parts, ...wordsOf(serverNameOf(userId))])];
  return { userId, roomNid, displayName, avatarUrl, words };
};

/** The ends of these words: whatever is within a word begins one of them. */
const partsOf = (words: readonly string[]): Set<string> => {
  const parts = new Set(words.slice(0, maxParts));
  for (const word of words) {
    const characters = [...word];
    for (let start = 1; start <= characters.length - minPartLength; start += 1) {
      if (parts.size >= maxParts) return parts;
      parts.add(characters.slice(start).join(''));
    }
  }
  return parts;
};

const textIn = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== ''
    ? value.replaceAll('\u0000', '').slice(0, maxNameLength)
    : undefined;

const followOpenness = (
  open: Map<number, OpenRoom>,
  { roomNid, type, content }: DirectoryChange,
): void => {
  const room = openRoom(open, roomNid);
  if (type === 'm.room.join_rules') room.publicJoin = content?.['join_rule'] === 'public';
  else room.worldReadable = content?.['history_visibility'] === 'world_readable';
};

const openRoom = (open: Map<number, OpenRoom>, roomNid: number): OpenRoom => {
  const known = open.get(roomNid);
  if (known !== undefined) return known;
  const room: OpenRoom = { publicJoin: undefined, worldReadable: undefined, present: undefined };
  open.set(roomNid, room);
  return room;
};
