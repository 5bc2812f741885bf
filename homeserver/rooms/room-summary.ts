/**
 * What a room says of itself to people outside it: in the list of published rooms, in the hierarchy of
 * a space and where one looks at a single room.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms
 */
import type { JsonObject } from '../../spec/event.ts';
import { isRoomId, type RoomId } from '../../spec/identifiers.ts';
import { isJsonObject } from '../../spec/property-path.ts';

/** State events with an empty state key that an entry of the list is made of. */
export const listedTypes = [
  'm.room.create',
  'm.room.name',
  'm.room.topic',
  'm.room.avatar',
  'm.room.canonical_alias',
  'm.room.join_rules',
  'm.room.guest_access',
  'm.room.history_visibility',
] as const;

/** The same, of a whole summary. */
export const summaryTypes = [...listedTypes, 'm.room.encryption'] as const;

export type SummaryType = (typeof summaryTypes)[number];

/** By type. */
export type StateContents = ReadonlyMap<SummaryType, JsonObject>;

export interface SummarisedRoom {
  readonly roomId: RoomId;
  readonly joined: number;
}

const textIn = (contents: StateContents, type: SummaryType, key: string): string | undefined => {
  const value = contents.get(type)?.[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

/** An entry of the list of published rooms; what the room does not say is left out. */
export const listedRoom = (
  { roomId, joined }: SummarisedRoom,
  contents: StateContents,
): JsonObject => ({
  room_id: roomId,
  num_joined_members: joined,
  join_rule: joinRuleIn(contents),
  guest_can_join: textIn(contents, 'm.room.guest_access', 'guest_access') === 'can_join',
  world_readable:
    textIn(contents, 'm.room.history_visibility', 'history_visibility') === 'world_readable',
  ...said({
    name: textIn(contents, 'm.room.name', 'name'),
    topic: textIn(contents, 'm.room.topic', 'topic'),
    avatar_url: textIn(contents, 'm.room.avatar', 'url'),
    canonical_alias: textIn(contents, 'm.room.canonical_alias', 'alias'),
    room_type: textIn(contents, 'm.room.create', 'type'),
  }),
});

/** The same with what people want to know before they join. */
export const roomSummary = (room: SummarisedRoom, contents: StateContents): JsonObject => ({
  ...listedRoom(room, contents),
  room_version: textIn(contents, 'm.room.create', 'room_version') ?? '1',
  ...said({
    encryption: textIn(contents, 'm.room.encryption', 'algorithm'),
    allowed_room_ids: allowedRoomIds(contents),
  }),
});

const said = (values: Readonly<Record<string, string | string[] | undefined>>): JsonObject =>
  Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as JsonObject;

const joinRuleIn = (contents: StateContents): string =>
  textIn(contents, 'm.room.join_rules', 'join_rule') ?? 'invite';

const allowedRoomIds = (contents: StateContents): string[] | undefined => {
  const joinRule = joinRuleIn(contents);
  if (joinRule !== 'restricted' && joinRule !== 'knock_restricted') return undefined;
  const allow = contents.get('m.room.join_rules')?.['allow'];
  if (!Array.isArray(allow)) return undefined;
  const ids = allow.flatMap((condition) => {
    if (!isJsonObject(condition) || condition['type'] !== 'm.room_membership') return [];
    const roomId = condition['room_id'];
    return typeof roomId === 'string' && isRoomId(roomId) ? [roomId] : [];
  });
  return ids.length === 0 ? undefined : ids;
};
