/**
 * Creating rooms as people ask for them.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
 */
import type { Logger } from 'pino';
import { MatrixError, matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import {
  isRoomAlias,
  type RoomAlias,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { Database } from '../storage/database.ts';
import { deleteAlias, insertAlias, setPublished } from '../storage/room-directory.ts';
import { initialPowerLevels } from './initial-power-levels.ts';
import type { Invites } from './invites.ts';
import { type MemberProfiles, memberContent } from './member-profiles.ts';
import { assertMayPublish, type DirectoryPublishers } from './public-rooms.ts';
import { type InitialEvent, type RoomMaker, rulesForNewRoom } from './room-maker.ts';

export const roomPresets = ['private_chat', 'public_chat', 'trusted_private_chat'] as const;
export type RoomPreset = (typeof roomPresets)[number];

export interface NewRoom {
  /** Whether whoever creates it is an administrator of this server. */
  readonly byAdmin?: boolean | undefined;
  readonly visibility?: 'public' | 'private' | undefined;
  readonly preset?: RoomPreset | undefined;
  /** The localpart of the alias to give to the room. */
  readonly aliasName?: string | undefined;
  readonly name?: string | undefined;
  readonly topic?: string | undefined;
  readonly invite?: readonly UserId[] | undefined;
  readonly isDirect?: boolean | undefined;
  readonly version?: string | undefined;
  readonly creationContent?: JsonObject | undefined;
  readonly initialState?: readonly InitialEvent[] | undefined;
  readonly powerLevelOverride?: JsonObject | undefined;
}

export interface RoomCreatorDeps {
  readonly database: Database;
  readonly serverName: ServerName;
  readonly defaultVersion: string;
  readonly publishers: DirectoryPublishers;
  readonly maker: RoomMaker;
  readonly invites: Invites;
  readonly profiles: MemberProfiles;
  readonly logger: Logger;
}

const presetEvents = (joinRule: string, guestAccess: string): readonly [string, JsonObject][] => [
  ['m.room.join_rules', { join_rule: joinRule }],
  ['m.room.history_visibility', { history_visibility: 'shared' }],
  ['m.room.guest_access', { guest_access: guestAccess }],
];

const presetState: Readonly<Record<RoomPreset, readonly [string, JsonObject][]>> = {
  private_chat: presetEvents('invite', 'can_join'),
  trusted_private_chat: presetEvents('invite', 'can_join'),
  public_chat: presetEvents('public', 'forbidden'),
};

/** A topic as plain text, in the property of old and in the content block. */
export const topicContent = (topic: string): JsonObject => ({
  topic,
  'm.topic': { 'm.text': [{ body: topic, mimetype: 'text/plain' }] },
});

export class RoomCreator {
  readonly #deps: RoomCreatorDeps;

  constructor(deps: RoomCreatorDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves once the room is durable and everyone has been invited. Users of other servers who
   * cannot be invited are left out: the room is made without them.
   * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION, M_ROOM_IN_USE, M_INVALID_ROOM_STATE,
   * M_INVITE_BLOCKED, M_INVALID_PARAM, M_LIMIT_EXCEEDED; M_FORBIDDEN for who may not publish rooms
   */
  async create(creator: UserId, wanted: NewRoom): Promise<RoomId> {
    const { maker, invites, profiles, serverName, defaultVersion, publishers } = this.#deps;
    if (wanted.visibility === 'public') assertMayPublish(publishers, wanted.byAdmin === true);
    const rules = rulesForNewRoom(wanted.version ?? defaultVersion);
    const invitees = [...new Set(wanted.invite)].filter((user) => user !== creator);
    await invites.check(creator, invitees);
    const alias = this.#aliasOf(wanted.aliasName);
    const isLocal = (user: UserId): boolean => serverNameOf(user) === serverName;
    const [profile, ...inviteeProfiles] = await Promise.all(
      [creator, ...invitees.filter(isLocal)].map((user) => profiles.of(user)),
    );
    const inviteEvents = invitees.filter(isLocal).map((stateKey, index) => ({
      type: 'm.room.member',
      stateKey,
      content: memberContent('invite', inviteeProfiles[index] ?? {}, directFlag(wanted)),
    }));
    let isAgain = false;
    const room = await maker
      .make({
        creator,
        rules,
        createContent: createContentOf(wanted, rules, invitees),
        events: [
          {
            type: 'm.room.member',
            stateKey: creator,
            content: memberContent('join', profile ?? {}),
          },
          ...eventsOf(creator, wanted, rules, invitees, alias),
          ...inviteEvents,
        ],
        before: async (roomId) => {
          if (isAgain) await this.#unregister(alias);
          isAgain = true;
          await this.#register(creator, wanted, alias, roomId);
        },
      })
      .catch(async (error: unknown) => {
        const taken = error instanceof MatrixError && error.errcode === 'M_ROOM_IN_USE';
        if (!taken) await this.#unregister(alias);
        throw error;
      });
    await this.#inviteRemote(
      creator,
      room.id,
      wanted,
      invitees.filter((user) => !isLocal(user)),
    );
    return room.id;
  }

  #aliasOf(name: string | undefined): RoomAlias | undefined {
    if (name === undefined) return undefined;
    const alias = `#${name}:${this.#deps.serverName}`;
    if (name === '' || name.includes(':') || /\s/.test(name) || !isRoomAlias(alias)) {
      throw matrixError('M_INVALID_PARAM', 'room_alias_name is not the localpart of an alias');
    }
    return alias;
  }

  async #register(
    creator: UserId,
    { visibility }: NewRoom,
    alias: RoomAlias | undefined,
    roomId: RoomId,
  ): Promise<void> {
    if (alias === undefined && visibility !== 'public') return;
    await this.#deps.database.transaction(async (tx) => {
      if (alias !== undefined && !(await insertAlias(tx, { alias, roomId, creator }))) {
        throw matrixError('M_ROOM_IN_USE', `The alias ${alias} is taken`);
      }
      if (visibility === 'public') await setPublished(tx, roomId, true);
    });
  }

  /** After a failure. A published room that was never made does no harm: nobody is shown it. */
  async #unregister(alias: RoomAlias | undefined): Promise<void> {
    if (alias === undefined) return;
    await this.#deps.database.transaction((tx) => deleteAlias(tx, alias));
  }

  async #inviteRemote(
    creator: UserId,
    roomId: RoomId,
    wanted: NewRoom,
    invitees: readonly UserId[],
  ): Promise<void> {
    for (const invitee of invitees) {
      try {
        await this.#deps.invites.send(creator, roomId, invitee, directFlag(wanted));
      } catch (error) {
        this.#deps.logger.info({ err: error, roomId, invitee }, 'new room: invite not delivered');
      }
    }
  }
}

const directFlag = ({ isDirect }: NewRoom): JsonObject => (isDirect ? { is_direct: true } : {});

const presetOf = ({ preset, visibility }: NewRoom): RoomPreset =>
  preset ?? (visibility === 'public' ? 'public_chat' : 'private_chat');

const createContentOf = (
  wanted: NewRoom,
  rules: RoomVersionRules,
  invitees: readonly UserId[],
): JsonObject => {
  const content = { ...wanted.creationContent };
  const trusted = presetOf(wanted) === 'trusted_private_chat' ? invitees : [];
  if (!rules.additionalCreators || trusted.length === 0) return content;
  const given = content['additional_creators'] ?? [];
  // Anything that is not a list is refused when the create event is authorised.
  if (Array.isArray(given)) content['additional_creators'] = [...new Set([...given, ...trusted])];
  return content;
};

/** The events between the creator's join and the invites. Numbers are those of the specification. */
const eventsOf = (
  creator: UserId,
  wanted: NewRoom,
  rules: RoomVersionRules,
  invitees: readonly UserId[],
  alias: RoomAlias | undefined,
): InitialEvent[] => {
  const preset = presetOf(wanted);
  const events: InitialEvent[] = [];
  const add = (type: string, content: JsonObject): void => {
    events.push({ type, stateKey: '', content });
  };
  // 3. A default m.room.power_levels event.
  add(
    'm.room.power_levels',
    initialPowerLevels({
      rules,
      creator,
      trusted: preset === 'trusted_private_chat' ? invitees : [],
      openInvites: preset !== 'public_chat',
      override: wanted.powerLevelOverride,
      leavesOutCreators: wanted.version === undefined,
    }),
  );
  // 4. An m.room.canonical_alias event if room_alias_name is given.
  if (alias !== undefined) add('m.room.canonical_alias', { alias });
  // 5. Events set by the preset, but for those that initial_state sets.
  const initial = (wanted.initialState ?? []).filter(
    ({ type, stateKey }) => !(stateKey === '' && isOverwritten(type, wanted)),
  );
  const given = new Set(initial.filter(({ stateKey }) => stateKey === '').map(({ type }) => type));
  for (const [type, content] of presetState[preset]) if (!given.has(type)) add(type, content);
  // 6. Events listed in initial_state, in the order that they are listed.
  for (const event of initial) {
    if (event.type === 'm.room.member' || event.type === 'm.room.create') {
      throw matrixError('M_INVALID_PARAM', `initial_state cannot hold ${event.type}`);
    }
    events.push(event);
  }
  // 7. Events implied by name and topic.
  if (wanted.name !== undefined) add('m.room.name', { name: wanted.name });
  if (wanted.topic !== undefined) add('m.room.topic', topicContent(wanted.topic));
  return events;
};

const isOverwritten = (type: string, { name, topic }: NewRoom): boolean =>
  (type === 'm.room.name' && name !== undefined) ||
  (type === 'm.room.topic' && topic !== undefined);
