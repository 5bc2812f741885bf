/**
 * Replacing a room by one of another version.
 * https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
import type { Logger } from 'pino';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { EventId, RoomId, UserId } from '../../spec/identifiers.ts';
import { creatorsOf } from '../../spec/power-levels.ts';
import type { RoomVersionRules } from '../../spec/room-versions.ts';
import type { Database } from '../storage/database.ts';
import { isPublished, moveAliases, setPublished } from '../storage/room-directory.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { EventDraft, LocalEvents } from './local-events.ts';
import { type MemberProfiles, memberContent } from './member-profiles.ts';
import type { RoomAliases } from './room-aliases.ts';
import { type InitialEvent, type RoomMaker, rulesForNewRoom } from './room-maker.ts';
import type { RoomRegistry } from './room-registry.ts';
import type { StoredEvent } from './stored-event.ts';
import { powerLevelsForUpgrade } from './upgraded-power-levels.ts';

export interface RoomUpgraderDeps {
  readonly database: Database;
  readonly registry: RoomRegistry;
  readonly events: EventStore;
  readonly localEvents: LocalEvents;
  readonly maker: RoomMaker;
  readonly aliases: RoomAliases;
  readonly profiles: MemberProfiles;
  readonly logger: Logger;
}

/** State that is carried over as it is. Power levels go last: until then nothing is refused. */
const carriedTypes = [
  'm.room.server_acl',
  'm.room.encryption',
  'm.room.name',
  'm.room.avatar',
  'm.room.topic',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.join_rules',
];

export class RoomUpgrader {
  readonly #deps: RoomUpgraderDeps;

  constructor(deps: RoomUpgraderDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves to the new room's id, once both rooms are durable.
   * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION, M_FORBIDDEN, M_NOT_FOUND
   */
  async upgrade(
    userId: UserId,
    oldId: RoomId,
    version: string,
    additionalCreators: readonly UserId[] = [],
  ): Promise<RoomId> {
    const { registry, localEvents, maker } = this.#deps;
    const rules = rulesForNewRoom(version);
    const old = await registry.find(oldId);
    if (old === undefined) throw matrixError('M_NOT_FOUND', 'Room not found');
    // 1. Checks that the user has permission to send m.room.tombstone events in the room.
    const levels = await localEvents.powerLevels(old);
    const mayEnd = levels.canSend(userId, 'm.room.tombstone', true);
    if (old.membership(userId) !== 'join' || !mayEnd) {
      throw matrixError('M_FORBIDDEN', 'You may not upgrade this room');
    }
    const state = await this.#stateOf(old);
    const events = await this.#eventsFor(userId, old, rules, state, additionalCreators);
    const replace = async (id: RoomId | undefined, last: EventId | undefined): Promise<RoomId> => {
      // 2. Creates a replacement room with a m.room.create event containing a predecessor field,
      //    the applicable room_version, and a type field which is copied from the predecessor room.
      // 3. Replicates transferable state events to the new room.
      const content = createContent(old, rules, state, additionalCreators, last);
      const created = await maker.make({
        creator: userId,
        rules,
        roomId: id,
        createContent: content,
        events,
      });
      // 4. Moves any local aliases to the new room.
      await this.#moveListing(oldId, created.id);
      return created.id;
    };
    // 5. Sends a m.room.tombstone event to the old room.
    const newId = await this.#end(userId, oldId, rules, replace);
    // 6. If possible, the power levels in the old room should also be modified to prevent sending
    //    of events and inviting new users.
    await this.#quieten(userId, oldId, state.get('m.room.power_levels')?.event.content);
    return newId;
  }

  /**
   * Ends a room with an event that names the one that `replace` makes. That event is the last one
   * the new room can know of the old one, so it is made first wherever the new room's id can be
   * chosen; it is sent only when the new room is there.
   */
  async #end(
    sender: UserId,
    oldId: RoomId,
    { roomIdIsCreateHash }: RoomVersionRules,
    replace: (newId: RoomId | undefined, last: EventId | undefined) => Promise<RoomId>,
  ): Promise<RoomId> {
    const { localEvents, maker } = this.#deps;
    const tombstone = (newId: RoomId): EventDraft => ({
      type: 'm.room.tombstone',
      stateKey: '',
      sender,
      content: { body: 'This room has been replaced', replacement_room: newId },
    });
    if (roomIdIsCreateHash) {
      const newId = await replace(undefined, undefined);
      await localEvents.send(oldId, tombstone(newId));
      return newId;
    }
    const newId = maker.chooseRoomId();
    let replaced: Promise<RoomId> | undefined;
    await localEvents.sendCountersigned(oldId, tombstone(newId), async (_room, made) => {
      // Asked again where the event has to be made anew: the new room stays as it is.
      replaced ??= replace(newId, made.event.eventId);
      await replaced;
      return made;
    });
    return newId;
  }

  async #stateOf(room: LiveRoom): Promise<Map<string, StoredEvent>> {
    const types = [
      ...carriedTypes,
      'm.room.create',
      'm.room.power_levels',
      'm.room.canonical_alias',
    ];
    const nids = types.flatMap((type) => room.stateRef(type, '')?.nid ?? []);
    const found = await this.#deps.events.manyByNid(room.nid, nids);
    return new Map([...found.values()].map((stored) => [stored.event.type, stored]));
  }

  async #eventsFor(
    userId: UserId,
    old: LiveRoom,
    rules: RoomVersionRules,
    state: ReadonlyMap<string, StoredEvent>,
    additionalCreators: readonly UserId[],
  ): Promise<InitialEvent[]> {
    const events: InitialEvent[] = [
      {
        type: 'm.room.member',
        stateKey: userId,
        content: memberContent('join', await this.#deps.profiles.of(userId)),
      },
    ];
    for (const type of carriedTypes) {
      const stored = state.get(type);
      if (stored === undefined) continue;
      const content =
        type === 'm.room.join_rules' ? joinRulesFor(stored.event.content, rules) : undefined;
      events.push({ type, stateKey: '', content: content ?? stored.event.content });
    }
    const alias = await this.#canonicalAlias(old.id, state.get('m.room.canonical_alias'));
    if (alias !== undefined) {
      events.push({ type: 'm.room.canonical_alias', stateKey: '', content: alias });
    }
    const createEvent = state.get('m.room.create')?.event;
    const oldCreators = createEvent === undefined ? [] : [...creatorsOf(createEvent, old.rules)];
    const content = powerLevelsForUpgrade({
      rules,
      content: state.get('m.room.power_levels')?.event.content,
      oldCreators: old.rules.powerLevels.creatorsAreInfinite ? oldCreators : [],
      creator: userId,
      additionalCreators,
    });
    events.push({ type: 'm.room.power_levels', stateKey: '', content });
    return events;
  }

  /** The old room's canonical alias as far as it consists of aliases that move along. */
  async #canonicalAlias(
    oldId: RoomId,
    stored: StoredEvent | undefined,
  ): Promise<JsonObject | undefined> {
    if (stored === undefined) return undefined;
    const ours = new Set<unknown>(await this.#deps.aliases.ofRoom(oldId));
    const { alias, alt_aliases: alternatives } = stored.event.content;
    const kept = Array.isArray(alternatives) ? alternatives.filter((one) => ours.has(one)) : [];
    if (!ours.has(alias) && kept.length === 0) return undefined;
    return {
      ...(ours.has(alias) && { alias }),
      ...(kept.length > 0 && { alt_aliases: kept }),
    };
  }

  async #moveListing(oldId: RoomId, newId: RoomId): Promise<void> {
    await this.#deps.database.transaction(async (tx) => {
      await moveAliases(tx, oldId, newId);
      if (!(await isPublished(tx, oldId))) return;
      await setPublished(tx, oldId, false);
      await setPublished(tx, newId, true);
    });
  }

  async #quieten(userId: UserId, oldId: RoomId, levels: JsonObject = {}): Promise<void> {
    const usersDefault = typeof levels['users_default'] === 'number' ? levels['users_default'] : 0;
    const least = Math.max(50, usersDefault + 1);
    const raised = (name: string): number => {
      const level = levels[name];
      return typeof level === 'number' ? Math.max(level, least) : least;
    };
    const content = {
      ...levels,
      events_default: raised('events_default'),
      invite: raised('invite'),
    };
    const type = 'm.room.power_levels';
    try {
      await this.#deps.localEvents.send(oldId, { type, stateKey: '', sender: userId, content });
    } catch (error) {
      this.#deps.logger.info({ err: error, roomId: oldId }, 'a replaced room stays open');
    }
  }
}

const createContent = (
  old: LiveRoom,
  rules: RoomVersionRules,
  state: ReadonlyMap<string, StoredEvent>,
  additionalCreators: readonly UserId[],
  last: EventId | undefined,
): JsonObject => {
  const before = state.get('m.room.create')?.event.content ?? {};
  return {
    predecessor: { room_id: old.id, ...(last !== undefined && { event_id: last }) },
    ...(typeof before['type'] === 'string' && { type: before['type'] }),
    ...(before['m.federate'] === false && { 'm.federate': false }),
    ...(rules.additionalCreators &&
      additionalCreators.length > 0 && { additional_creators: [...new Set(additionalCreators)] }),
  };
};

/** A join rule that the new version does not have becomes the nearest one that keeps people out. */
const joinRulesFor = (content: JsonObject, rules: RoomVersionRules): JsonObject => {
  const known: Record<string, boolean> = {
    knock: rules.knocking,
    restricted: rules.restrictedJoins,
    knock_restricted: rules.knockRestricted,
  };
  return known[String(content['join_rule'])] === false ? { join_rule: 'invite' } : content;
};
