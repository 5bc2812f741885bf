/** Who is online, in sync. https://spec.matrix.org/v1.19/client-server-api/#presence */
import type { UserId } from '../../spec/identifiers.ts';
import type { Clock } from '../clock.ts';
import type { Presence, UserPresence } from '../streams/presence.ts';
import type { SyncResponse } from './response.ts';
import { isNewlyJoined, type SyncContext, type SyncStream } from './sync-stream.ts';

const type = 'm.presence';
/** Of more people in a first sync, those whose presence changed last are shown. */
const maxShown = 2000;
/** Of more changes, the oldest go into an answer, and the next begins after them. */
const maxChanges = 100;
/** How long one text serves every reader: times in it are as old at most. */
const textKeptMs = 1000;

export class PresenceStream implements SyncStream {
  readonly name = 'presence';
  readonly #presence: Presence;
  readonly #clock: Clock;
  /** The events of people as they are, and when they were written. */
  readonly #texts = new WeakMap<UserPresence, { readonly text: string; readonly atMs: number }>();

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
    const nowMs = this.#clock.nowMs();
    for (const user of this.#news(context, response)) {
      if (!isWanted(context, user.userId)) continue;
      response.addEvent('presence', this.#textOf(user, nowMs));
      isHeld &&= this.#presence.isHeld(user.userId);
      response.isPresenceHeld = isHeld;
    }
  }

  #textOf(user: UserPresence, nowMs: number): string {
    const known = this.#texts.get(user);
    if (known !== undefined && nowMs - known.atMs < textKeptMs) return known.text;
    const content = JSON.stringify(presenceContent(user, nowMs));
    const text = `{"type":"${type}","sender":${JSON.stringify(user.userId)},"content":${content}}`;
    this.#texts.set(user, { text, atMs: nowMs });
    return text;
  }

  #news(context: SyncContext, response: SyncResponse): readonly UserPresence[] {
    const { userId, from, to } = context;
    const joined = new Set<number>();
    const fresh = new Set<number>();
    for (const room of context.rooms) {
      if (room.membership !== 'join') continue;
      joined.add(room.roomNid);
      if (isNewlyJoined(context, room)) fresh.add(room.roomNid);
    }
    if (from === undefined || context.fullState) return this.#here(userId, joined);
    const { users: changed, upTo } = this.#presence.changedFor(userId, joined, {
      after: from.presence,
      upTo: to.presence,
      limit: maxChanges,
      wants: (sender) => isWanted(context, sender),
    });
    if (upTo < to.presence) response.presenceUpTo = upTo;
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

const isWanted = ({ ignoredUsers, filter }: SyncContext, sender: UserId): boolean =>
  !ignoredUsers.has(sender) && filter.presence.matchesEvent({ type, sender });

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
