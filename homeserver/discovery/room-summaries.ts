/**
 * What a room tells of itself to people outside it, and who may be told.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy
 */
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { splitStateKey } from '../../spec/event.ts';
import { isRoomId, type UserId } from '../../spec/identifiers.ts';
import { isJsonObject } from '../../spec/property-path.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RestrictedJoins } from '../rooms/restricted-joins.ts';

export interface RoomSummariesDeps {
  readonly events: EventStore;
  readonly restrictedJoins: RestrictedJoins;
}

const summaryTypes = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.canonical_alias',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
  'm.room.encryption',
] as const;
type SummaryType = (typeof summaryTypes)[number];
type Contents = ReadonlyMap<SummaryType, JsonObject>;

const spaceType = 'm.space';
const maxChildren = 1000;
const maxOrderLength = 50;

export class RoomSummaries {
  readonly #deps: RoomSummariesDeps;

  constructor(deps: RoomSummariesDeps) {
    this.#deps = deps;
  }

  async summary(room: LiveRoom): Promise<JsonObject> {
    const contents = await this.#contents(room);
    const text = (type: SummaryType, property: string): string | undefined => {
      const value = contents.get(type)?.[property];
      return typeof value === 'string' && value !== '' ? value : undefined;
    };
    const joinRule = text('m.room.join_rules', 'join_rule') ?? 'invite';
    const optional = {
      name: text('m.room.name', 'name'),
      topic: text('m.room.topic', 'topic'),
      avatar_url: text('m.room.avatar', 'url'),
      canonical_alias: text('m.room.canonical_alias', 'alias'),
      room_type: text('m.room.create', 'type'),
      encryption: text('m.room.encryption', 'algorithm'),
      allowed_room_ids: allowedRoomIds(joinRule, contents.get('m.room.join_rules')),
    };
    return {
      room_id: room.id,
      num_joined_members: room.joinedCount,
      join_rule: joinRule,
      guest_can_join: text('m.room.guest_access', 'guest_access') === 'can_join',
      world_readable: text('m.room.history_visibility', 'history_visibility') === 'world_readable',
      room_version: text('m.room.create', 'room_version') ?? '1',
      ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
    };
  }

  /** Whether a person, or somebody unknown, may be told of the room. */
  async isVisibleTo(userId: UserId | undefined, room: LiveRoom): Promise<boolean> {
    const membership = userId && room.membership(userId);
    if (membership === 'join' || membership === 'invite') return true;
    const contents = await this.#contents(room);
    const visibility = contents.get('m.room.history_visibility')?.['history_visibility'];
    if (visibility === 'world_readable') return true;
    if (membership === 'ban') return false;
    switch (contents.get('m.room.join_rules')?.['join_rule']) {
      case 'public':
      case 'knock':
      case 'knock_restricted':
        return true;
      case 'restricted': {
        if (userId === undefined) return false;
        const { outcome } = await this.#deps.restrictedJoins.check(room, userId);
        return outcome === 'allowed';
      }
      default:
        return false;
    }
  }

  /** The valid `m.space.child` events of a space, in the order in which children are shown. */
  async children(room: LiveRoom, suggestedOnly: boolean): Promise<MatrixEvent[]> {
    const create = (await this.#contents(room)).get('m.room.create');
    if (create?.['type'] !== spaceType) return [];
    const nids: number[] = [];
    for (const [key, ref] of room.state.entries()) {
      if (nids.length === maxChildren) break;
      const [type, stateKey] = splitStateKey(key);
      if (type === 'm.space.child' && isRoomId(stateKey)) nids.push(ref.nid);
    }
    const events = [...(await this.#deps.events.manyByNid(room.nid, nids)).values()]
      .map(({ event }) => event)
      .filter(({ content }) => isStringList(content['via']))
      .filter(({ content }) => !suggestedOnly || content['suggested'] === true);
    return events.sort(byOrder);
  }

  async #contents(room: LiveRoom): Promise<Contents> {
    const nids = new Map<number, SummaryType>();
    for (const type of summaryTypes) {
      const ref = room.stateRef(type, '');
      if (ref !== undefined) nids.set(ref.nid, type);
    }
    const found = await this.#deps.events.manyByNid(room.nid, nids.keys());
    return new Map(
      [...found].map(([nid, { event }]) => [nids.get(nid) as SummaryType, event.content]),
    );
  }
}

const isStringList = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((entry) => typeof entry === 'string');

const allowedRoomIds = (joinRule: string, content: JsonObject | undefined) => {
  if (joinRule !== 'restricted' && joinRule !== 'knock_restricted') return undefined;
  const allow = content?.['allow'];
  if (!Array.isArray(allow)) return undefined;
  const ids = allow.flatMap((condition) => {
    if (!isJsonObject(condition) || condition['type'] !== 'm.room_membership') return [];
    const roomId = condition['room_id'];
    return typeof roomId === 'string' && isRoomId(roomId) ? [roomId] : [];
  });
  return ids.length === 0 ? undefined : ids;
};

const visibleAscii = /^[\x20-\x7e]*$/;

type Child = Pick<MatrixEvent, 'content' | 'originServerTs' | 'stateKey'>;

const orderOf = ({ content }: Child): string | undefined => {
  const { order } = content;
  const isValid =
    typeof order === 'string' && order.length <= maxOrderLength && visibleAscii.test(order);
  return isValid ? order : undefined;
};

/** https://spec.matrix.org/v1.19/client-server-api/#ordering-of-children-within-a-space */
export const byOrder = (a: Child, b: Child): number => {
  const [first, second] = [orderOf(a), orderOf(b)];
  if (first !== second) {
    if (first === undefined) return 1;
    if (second === undefined) return -1;
    return first < second ? -1 : 1;
  }
  if (a.originServerTs !== b.originServerTs) return a.originServerTs - b.originServerTs;
  return (a.stateKey as string) < (b.stateKey as string) ? -1 : 1;
};
