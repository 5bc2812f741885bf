/**
 * What a room tells of itself to people outside it, and who may be told.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy
 */
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import { splitStateKey } from '../../spec/event.ts';
import { isRoomId, type UserId } from '../../spec/identifiers.ts';
import { bytesOfJson } from '../memory-budget.ts';
import type { EventStore } from '../rooms/event-store.ts';
import type { LiveRoom } from '../rooms/live-room.ts';
import type { RestrictedJoins } from '../rooms/restricted-joins.ts';
import {
  roomSummary,
  type StateContents,
  type SummaryType,
  summaryTypes,
} from '../rooms/room-summary.ts';

export interface RoomSummariesDeps {
  readonly events: EventStore;
  readonly restrictedJoins: RestrictedJoins;
}

const spaceType = 'm.space';
const maxChildren = 1000;
/** Of the contents of the children of one space: an honest one has some hundred bytes. */
const maxChildrenBytes = 512 * 1024;
const maxOrderLength = 50;

export class RoomSummaries {
  readonly #deps: RoomSummariesDeps;

  constructor(deps: RoomSummariesDeps) {
    this.#deps = deps;
  }

  async summary(room: LiveRoom): Promise<JsonObject> {
    const contents = await this.#contents(room);
    return roomSummary({ roomId: room.id, joined: room.joinedCount }, contents);
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
    let bytes = 0;
    return events.sort(byOrder).filter(({ content }) => {
      bytes += bytesOfJson(content);
      return bytes <= maxChildrenBytes;
    });
  }

  async #contents(room: LiveRoom): Promise<StateContents> {
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
