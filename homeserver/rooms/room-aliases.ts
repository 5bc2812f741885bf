/**
 * Room aliases: those of this server, and asking for those of others.
 * https://spec.matrix.org/v1.19/client-server-api/#room-aliases
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  isRoomAlias,
  isRoomId,
  type RoomAlias,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import { knownAsker } from '../known-asker.ts';
import { someAtATime } from '../some-at-a-time.ts';
import type { Database } from '../storage/database.ts';
import { aliasesOfRoom, aliasRecord, deleteAlias, insertAlias } from '../storage/room-directory.ts';
import type { EventStore } from './event-store.ts';
import type { LocalEvents } from './local-events.ts';
import type { RemoteRooms } from './remote-rooms.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { Visibility } from './visibility.ts';

export interface ResolvedAlias {
  readonly roomId: RoomId;
  /** Servers that are in the room, this one first when it is. */
  readonly servers: readonly ServerName[];
}

export interface RoomAliasesDeps {
  readonly database: Database;
  readonly registry: RoomRegistry;
  readonly localEvents: LocalEvents;
  readonly events: EventStore;
  readonly visibility: Visibility;
  readonly remote: RemoteRooms;
  readonly serverName: ServerName;
}

const maxServers = 50;
const maxAltAliases = 200;
/** Aliases of other servers that one event may add: each is a question to one of them. */
const maxNewRemoteAliases = 20;
/** Of one event; how much one person may ask of others altogether is bounded where it is sent. */
const maxLookUpsAtOnce = 5;

export class RoomAliases {
  readonly #deps: RoomAliasesDeps;

  constructor(deps: RoomAliasesDeps) {
    this.#deps = deps;
  }

  /**
   * @param asker for whom another server is asked; nobody unknown makes us do so
   * @throws MatrixError M_NOT_FOUND, M_MISSING_TOKEN without an asker
   */
  async resolve(alias: RoomAlias, asker?: UserId): Promise<ResolvedAlias> {
    const { database, registry, remote, serverName } = this.#deps;
    if (serverNameOf(alias) !== serverName) return remote.resolveAlias(alias, knownAsker(asker));
    const record = await aliasRecord(database, alias);
    if (record === undefined) throw matrixError('M_NOT_FOUND', `No room has the alias ${alias}`);
    const room = await registry.find(record.roomId);
    const servers = [...(room?.joinedServers ?? [])].filter((server) => server !== serverName);
    return { roomId: record.roomId, servers: [serverName, ...servers].slice(0, maxServers) };
  }

  /**
   * The room that somebody names by its id or by an alias, and servers to go through: those they name
   * themselves first.
   * @throws as `resolve`
   */
  async locate(
    target: RoomId | RoomAlias,
    asker: UserId,
    via: readonly ServerName[] = [],
  ): Promise<ResolvedAlias> {
    if (isRoomId(target)) return { roomId: target, servers: via };
    const { roomId, servers } = await this.resolve(target as RoomAlias, asker);
    return { roomId, servers: [...via, ...servers] };
  }

  /**
   * Gives a room of this server a new alias. Whoever is in the room may.
   * @throws MatrixError M_INVALID_PARAM, M_FORBIDDEN, or M_UNKNOWN (409) when the alias is taken
   */
  async add(userId: UserId, alias: RoomAlias, roomId: RoomId): Promise<void> {
    this.#checkOurs(alias);
    const room = await this.#deps.registry.find(roomId);
    if (room?.membership(userId) !== 'join') {
      throw matrixError('M_FORBIDDEN', 'You are not in this room');
    }
    const added = await this.#deps.database.transaction((tx) =>
      insertAlias(tx, { alias, roomId, creator: userId }),
    );
    if (!added) {
      throw matrixError('M_UNKNOWN', `The alias ${alias} is taken`, {}, { status: 409 });
    }
  }

  /**
   * Takes an alias away: its creator may, whoever may set the room's canonical alias, and an
   * administrator. The alias is also taken out of the room's canonical alias event, if possible.
   * @throws MatrixError M_NOT_FOUND, M_FORBIDDEN
   */
  async remove(userId: UserId, alias: RoomAlias, isAdmin: boolean): Promise<void> {
    const { database } = this.#deps;
    const record = await aliasRecord(database, alias);
    if (record === undefined) throw matrixError('M_NOT_FOUND', `No room has the alias ${alias}`);
    if (!isAdmin && record.creator !== userId && !(await this.#mayCurate(userId, record.roomId))) {
      throw matrixError('M_FORBIDDEN', 'Only its creator or a moderator may remove an alias');
    }
    await database.transaction((tx) => deleteAlias(tx, alias));
    await this.#removeFromState(userId, alias, record.roomId);
  }

  /**
   * This server's aliases of a room, for its members and whoever may look into it.
   * @throws MatrixError M_FORBIDDEN
   */
  async list(userId: UserId, roomId: RoomId, isAdmin: boolean): Promise<RoomAlias[]> {
    const { registry, visibility } = this.#deps;
    const room = await registry.find(roomId);
    const mayLook =
      isAdmin ||
      room?.membership(userId) === 'join' ||
      (room && (await visibility.settingIn(room.nid, room.state))) === 'world_readable';
    if (!mayLook) throw matrixError('M_FORBIDDEN', 'You are not in this room');
    return this.ofRoom(roomId);
  }

  ofRoom(roomId: RoomId): Promise<RoomAlias[]> {
    return aliasesOfRoom(this.#deps.database, roomId);
  }

  /**
   * Checks the aliases that a new `m.room.canonical_alias` event adds to those of the present one.
   * @throws MatrixError M_INVALID_PARAM for what is no alias and for too many of other servers,
   *   M_BAD_ALIAS for what points elsewhere
   */
  async checkCanonicalAlias(roomId: RoomId, sender: UserId, content: JsonObject): Promise<void> {
    const added = new Set(aliasesIn(content, true));
    for (const known of aliasesIn((await this.#canonicalAlias(roomId)) ?? {}, false)) {
      added.delete(known);
    }
    const isOurs = (alias: RoomAlias): boolean => serverNameOf(alias) === this.#deps.serverName;
    const [ours, theirs] = [[...added].filter(isOurs), [...added].filter((one) => !isOurs(one))];
    if (theirs.length > maxNewRemoteAliases) {
      const error = `An event may add ${maxNewRemoteAliases} aliases of other servers`;
      throw matrixError('M_INVALID_PARAM', error);
    }
    // Others are asked only where nothing else is wrong.
    for (const aliases of [ours, theirs]) {
      await someAtATime(aliases, maxLookUpsAtOnce, async (alias) => {
        const found = await this.resolve(alias, sender).catch(() => undefined);
        if (found?.roomId !== roomId) {
          throw matrixError('M_BAD_ALIAS', `The alias ${alias} does not point to this room`);
        }
      });
    }
  }

  #checkOurs(alias: RoomAlias): void {
    if (serverNameOf(alias) !== this.#deps.serverName) {
      throw matrixError('M_INVALID_PARAM', 'The alias is of another server');
    }
    if (/\s/.test(alias)) throw matrixError('M_INVALID_PARAM', 'An alias has no white space');
  }

  async #mayCurate(userId: UserId, roomId: RoomId): Promise<boolean> {
    const room = await this.#deps.registry.find(roomId);
    if (room?.membership(userId) !== 'join') return false;
    const levels = await this.#deps.localEvents.powerLevels(room);
    return levels.canSend(userId, 'm.room.canonical_alias', true);
  }

  async #canonicalAlias(roomId: RoomId): Promise<JsonObject | undefined> {
    const room = await this.#deps.registry.find(roomId);
    const ref = room?.stateRef('m.room.canonical_alias', '');
    if (room === undefined || ref === undefined) return undefined;
    return (await this.#deps.events.byNid(room.nid, ref.nid))?.event.content;
  }

  async #removeFromState(userId: UserId, alias: RoomAlias, roomId: RoomId): Promise<void> {
    const content = await this.#canonicalAlias(roomId);
    if (content === undefined || !aliasesIn(content, false).includes(alias)) return;
    const changed: JsonObject = { ...content };
    if (changed['alias'] === alias) delete changed['alias'];
    if (Array.isArray(changed['alt_aliases'])) {
      changed['alt_aliases'] = changed['alt_aliases'].filter((other) => other !== alias);
    }
    const type = 'm.room.canonical_alias';
    // The alias is gone all the same when the user may not change the state.
    await this.#deps.localEvents
      .send(roomId, { type, stateKey: '', sender: userId, content: changed })
      .catch(() => undefined);
  }
}

/** @throws MatrixError M_INVALID_PARAM when `strict` and something is no alias */
const aliasesIn = (content: JsonObject, strict: boolean): RoomAlias[] => {
  const { alias, alt_aliases: alternatives } = content;
  const found: RoomAlias[] = [];
  const add = (value: unknown): void => {
    if (typeof value === 'string' && isRoomAlias(value)) found.push(value);
    else if (strict) throw matrixError('M_INVALID_PARAM', 'The content holds an invalid alias');
  };
  // Null and the empty text stand for no alias.
  if (alias !== undefined && alias !== null && alias !== '') add(alias);
  if (Array.isArray(alternatives)) {
    if (strict && alternatives.length > maxAltAliases) {
      throw matrixError('M_INVALID_PARAM', `alt_aliases may hold ${maxAltAliases} aliases`);
    }
    for (const alternative of alternatives) add(alternative);
  } else if (strict && alternatives !== undefined && alternatives !== null) {
    throw matrixError('M_INVALID_PARAM', 'alt_aliases is not a list');
  }
  return found;
};
