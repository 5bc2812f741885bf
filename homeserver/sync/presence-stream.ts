/** Who is online, in sync. https://spec.matrix.org/v1.19/client-server-api/#presence */
import type { Clock } from '../clock.ts';
import type { Presence, UserPresence } from '../streams/presence.ts';
import type { SyncResponse } from './response.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';

const type = 'm.presence';
/** Of more people in a first sync, those whose presence changed last are shown. */
const maxShown = 2000;

export class PresenceStream implements SyncStream {
  readonly name = 'presence';
  readonly #presence: Presence;
  readonly #clock: Clock;

  constructor(presence: Presence, clock: Clock) {
    this.#presence = presence;
    this.#clock = clock;
  }

  collect(context: SyncContext, response: SyncResponse): undefined {
    const { from, to, filter } = context;
    if (!this.#presence.enabled || !filter.presence.matchesType(type)) return;
    const noNews = from !== undefined && from.presence >= to.presence;
    if (noNews && from.position >= to.position && !context.fullState) return;
    // Those met in rooms that are new to the user have not changed, but are news.
    const met = context.changedRooms.some(
      (room) => room.membership === 'join' && isNewlyJoined(context, room),
    );
    if (from?.presence === to.presence && !met && !context.fullState) return;
    let isHeld = from !== undefined && !context.fullState;
    for (const user of this.#news(context)) {
      const { userId: sender } = user;
      if (context.ignoredUsers.has(sender)) continue;
      if (!filter.presence.matchesEvent({ type, sender })) continue;
      const content = JSON.stringify(presenceContent(user, this.#clock.nowMs()));
      response.addEvent(
        'presence',
        `{"type":"${type}","sender":${JSON.stringify(sender)},"content":${content}}`,
      );
      isHeld &&= this.#presence.isHeld(sender);
      response.isPresenceHeld = isHeld;
    }
  }

  #news(context: SyncContext): readonly UserPresence[] {
    const { userId, from, to } = context;
    const joined = new Set<number>();
    const fresh = new Set<number>();
    for (const room of context.rooms) {
      if (room.membership !== 'join') continue;
      joined.add(room.roomNid);
      if (isNewlyJoined(context, room)) fresh.add(room.roomNid);
    }
    if (from === undefined || context.fullState) return this.#here(userId, joined);
    const changed = this.#presence.changedFor(userId, joined, from.presence, to.presence);
    // Who was online before a restart may not be any more.
    if (changed === undefined) return this.#presence.knownIn(userId, joined, maxShown);
    if (fresh.size === 0) return changed;
    const known = new Set(changed.map((user) => user.userId));
    const met = this.#presence.metIn(userId, fresh, maxShown);
    return [...changed, ...met.filter((user) => !known.has(user.userId))];
  }

  #here(userId: UserPresence['userId'], rooms: ReadonlySet<number>): UserPresence[] {
    return this.#presence
      .knownIn(userId, rooms, maxShown)
      .filter(({ presence }) => presence !== 'offline');
  }
}

/** As clients are shown it. `currently_active`: until told otherwise, active within minutes. */
export const presenceContent = (
  { presence, statusMsg, lastActiveMs }: Omit<UserPresence, 'userId'>,
  nowMs: number,
) => ({
  presence,
  ...(lastActiveMs > 0 && { last_active_ago: Math.max(0, nowMs - lastActiveMs) }),
  ...(statusMsg !== undefined && { status_msg: statusMsg }),
  ...(presence === 'online' && { currently_active: true }),
});
