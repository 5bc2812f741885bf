/** Changes of presence that wait for others, so that those who share rooms are woken once for many. */
import type { UserId } from '../../spec/identifiers.ts';
import type { RoomRegistry } from '../rooms/room-registry.ts';
import { holdMsFor, type Notifier } from './notifier.ts';

/** Wake-ups for presence wait at least this long for others to go with them: nobody is in a hurry. */
const minWakeAfterMs = 100;

export class PresenceWaking {
  readonly #deps: { readonly notifier: Notifier; readonly registry: RoomRegistry };
  readonly #roomsOf: (userId: UserId) => Iterable<number>;
  readonly #users = new Set<UserId>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    deps: { readonly notifier: Notifier; readonly registry: RoomRegistry },
    roomsOf: (userId: UserId) => Iterable<number>,
  ) {
    this.#deps = deps;
    this.#roomsOf = roomsOf;
  }

  /** Those who wait for a room that is not in memory hear of it with their next answer. */
  add(userId: UserId): void {
    this.#users.add(userId);
    const wakeAfterMs = Math.max(minWakeAfterMs, holdMsFor(this.#deps.notifier.waitingUsers));
    this.#timer ??= setTimeout(() => this.#wake(), wakeAfterMs).unref();
  }

  has(userId: UserId): boolean {
    return this.#users.has(userId);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #wake(): void {
    this.#timer = undefined;
    const { registry, notifier } = this.#deps;
    // Of a thousand who come at once to one room, its members are looked through once.
    const roomNids = new Set<number>();
    for (const userId of this.#users) {
      for (const roomNid of this.#roomsOf(userId)) roomNids.add(roomNid);
    }
    notifier.mark(this.#users);
    for (const roomNid of roomNids) {
      const members = registry.cached(roomNid)?.joinedLocalUsers;
      if (members !== undefined) notifier.markMembers(members);
    }
    this.#users.clear();
    notifier.flush();
  }
}
