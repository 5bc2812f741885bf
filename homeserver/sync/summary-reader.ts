/**
 * What a client needs to name a room that has no name, and its member counts.
 * https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync_response-200_roomsummary
 */
import { stateKeyOf } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { EventStore } from '../rooms/event-store.ts';
import { memberOfKey } from '../rooms/live-room.ts';
import type { ReadableRoom } from '../rooms/stored-rooms.ts';

const maxHeroes = 5;

export class SummaryReader {
  readonly #events: EventStore;

  constructor(events: EventStore) {
    this.#events = events;
  }

  /** JSON of the room's summary as this user sees it. */
  async read(userId: UserId, room: ReadableRoom): Promise<string> {
    const { committed } = room;
    const counts = `"m.joined_member_count":${committed.joinedCount},"m.invited_member_count":${committed.invitedCount}`;
    if (await this.#isNamed(room)) return `{${counts}}`;
    return `{"m.heroes":${JSON.stringify(heroesOf(userId, room))},${counts}}`;
  }

  async #isNamed(room: ReadableRoom): Promise<boolean> {
    const properties = [
      ['m.room.name', 'name'],
      ['m.room.canonical_alias', 'alias'],
    ] as const;
    for (const [type, property] of properties) {
      const ref = room.committed.state.get(stateKeyOf(type, ''));
      const stored = ref === undefined ? undefined : await this.#events.byNid(room.nid, ref.nid);
      const value = stored?.event.content[property];
      if (typeof value === 'string' && value !== '') return true;
    }
    return false;
  }
}

/** The first five others in the room; where there are none, the first five who were. */
const heroesOf = (userId: UserId, room: ReadableRoom): UserId[] => {
  const present: { user: UserId; nid: number }[] = [];
  const gone: { user: UserId; nid: number }[] = [];
  for (const [key, ref] of room.committed.state.entries()) {
    const user = memberOfKey(key);
    if (user === undefined || user === userId) continue;
    const isPresent = ref.membership === 'join' || ref.membership === 'invite';
    (isPresent ? present : gone).push({ user, nid: ref.nid });
  }
  const chosen = present.length > 0 ? present : gone;
  return chosen
    .sort((a, b) => a.nid - b.nid)
    .slice(0, maxHeroes)
    .map(({ user }) => user);
};
