/**
 * Guests leave a room that stops admitting them.
 * https://spec.matrix.org/v1.19/client-server-api/#guest-access
 */
import type { Logger } from 'pino';
import type { Db } from '../storage/database.ts';
import { guestsAmong } from '../storage/guests.ts';
import { forEachLimited } from './for-each-limited.ts';
import type { LiveRoom } from './live-room.ts';
import type { Membership } from './membership.ts';
import type { RoomObserver } from './room-observer.ts';

export interface GuestRemovalDeps {
  readonly database: Db;
  readonly observer: RoomObserver;
  readonly membership: Membership;
  readonly logger: Logger;
}

const width = 4;

export class GuestRemoval {
  readonly #deps: GuestRemovalDeps;
  readonly #underWay = new Set<Promise<void>>();

  constructor(deps: GuestRemovalDeps) {
    this.#deps = deps;
    deps.observer.onAppended((room, events, _write, isOurs) => {
      if (!isOurs) return;
      const closes = events.some(
        ({ event, softFailed, rejectedReason }) =>
          event.type === 'm.room.guest_access' &&
          event.content['guest_access'] !== 'can_join' &&
          !softFailed &&
          rejectedReason === undefined,
      );
      if (closes) this.#begin(room);
    });
  }

  /** Resolves once nobody is being removed. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #begin(room: LiveRoom): void {
    const work = this.#remove(room).catch((error: unknown) => {
      this.#deps.logger.error({ err: error, roomId: room.id }, 'guests stay in a closed room');
    });
    const tracked = work.finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  async #remove(room: LiveRoom): Promise<void> {
    const { database, membership } = this.#deps;
    const guests = await guestsAmong(database, [...room.joinedLocalUsers]);
    const errors = await forEachLimited(guests, width, (guest) => membership.leave(guest, room.id));
    if (errors.length > 0)
      throw new AggregateError(errors, `${errors.length} guests did not leave`);
  }
}
