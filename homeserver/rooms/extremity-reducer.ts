/**
 * Keeps forward extremities few. A room that forks faster than people speak in it gathers heads, and
 * every event then costs a state resolution over all of them; an event that says nothing ties them
 * together again.
 */
import type { Logger } from 'pino';
import { MatrixError } from '../../spec/errors.ts';
import type { LiveRoom } from './live-room.ts';
import type { LocalEvents } from './local-events.ts';
import type { RoomObserver } from './room-observer.ts';

/** More than this many heads are tied together. */
export const maxExtremities = 10;
/** Members tried until one may send. */
const maxTries = 5;

export class ExtremityReducer {
  readonly #localEvents: LocalEvents;
  readonly #logger: Logger;
  readonly #busy = new Set<number>();

  constructor(deps: { observer: RoomObserver; localEvents: LocalEvents; logger: Logger }) {
    this.#localEvents = deps.localEvents;
    this.#logger = deps.logger;
    deps.observer.onAppended((room) => {
      if (room.extremities.length > maxExtremities) void this.#reduce(room);
    });
  }

  async #reduce(room: LiveRoom): Promise<void> {
    if (this.#busy.has(room.nid)) return;
    this.#busy.add(room.nid);
    try {
      for (const sender of [...room.joinedLocalUsers].slice(0, maxTries)) {
        const draft = { type: 'org.parley.merge', sender, content: {} };
        try {
          await this.#localEvents.send(room.id, draft);
          return;
        } catch (error) {
          // This member may not send such events; another may.
          if (!(error instanceof MatrixError)) throw error;
        }
      }
    } catch (error) {
      this.#logger.warn({ err: error, room: room.id }, 'forward extremities stay many');
    } finally {
      this.#busy.delete(room.nid);
    }
  }
}
