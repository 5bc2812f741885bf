/**
 * Keeps forward extremities few. A room that forks faster than people speak in it gathers heads, and
 * every event then costs a state resolution over all of them; an event that says nothing ties them
 * together again. Where nobody here may send one, a server that goes on forking the room has its
 * events held back.
 */
import type { Logger } from 'pino';
import { MatrixError } from '../../spec/errors.ts';
import type { MatrixEvent } from '../../spec/event.ts';
import { serverNameOf } from '../../spec/identifiers.ts';
import type { LiveRoom } from './live-room.ts';
import type { EventDraft, LocalEvents } from './local-events.ts';
import type { PolicyServers } from './policy-servers.ts';
import type { RoomObserver } from './room-observer.ts';

/** More than this many heads are tied together. */
export const maxExtremities = 10;
/** Heads by people of one server: one that sees its own events makes one at a time. */
export const maxExtremitiesOfServer = 10;
/** Heads whatever servers they are of. */
export const maxExtremitiesOfAll = 100;
/** Members tried until one may send. */
const maxTries = 5;

export class ExtremityReducer {
  readonly #localEvents: LocalEvents;
  readonly #policyServers: PolicyServers;
  readonly #logger: Logger;
  readonly #busy = new Set<number>();

  constructor(deps: {
    observer: RoomObserver;
    localEvents: LocalEvents;
    policyServers: PolicyServers;
    logger: Logger;
  }) {
    this.#localEvents = deps.localEvents;
    this.#policyServers = deps.policyServers;
    this.#logger = deps.logger;
    deps.observer.onAppended((room, _events, _write, isOurs) => {
      if (isOurs && room.extremities.length > maxExtremities) void this.#reduce(room);
    });
  }

  /**
   * Whether another server's event may become a head, for the room's writer. Where there are too many
   * already they are tied together first; false where that cannot be.
   */
  async hasRoomFor(room: LiveRoom, event: MatrixEvent): Promise<boolean> {
    if (!addsTooMany(room, event)) return true;
    for (const draft of mergeDrafts(room)) {
      // A policy server is not asked while the room waits.
      if (this.#policyServers.concerns(room, draft)) return false;
      try {
        await this.#localEvents.stage(room, draft);
        return true;
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error;
      }
    }
    return false;
  }

  async #reduce(room: LiveRoom): Promise<void> {
    if (this.#busy.has(room.nid)) return;
    this.#busy.add(room.nid);
    try {
      for (const draft of mergeDrafts(room)) {
        try {
          await this.#localEvents.sendDecided(room.id, ({ extremities }) =>
            extremities.length > maxExtremities ? draft : undefined,
          );
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

const mergeDrafts = function* (room: LiveRoom): Generator<EventDraft> {
  let tries = 0;
  for (const sender of room.joinedLocalUsers) {
    if (tries++ === maxTries) return;
    yield { type: 'org.parley.merge', sender, content: {} };
  }
};

const addsTooMany = ({ extremities, missingPrevEvents }: LiveRoom, event: MatrixEvent): boolean => {
  if (extremities.length < maxExtremitiesOfServer) return false;
  // Others follow it already.
  if (missingPrevEvents.get(event.eventId) === true) return false;
  const server = serverNameOf(event.sender);
  let sameServer = 0;
  for (const { event: head } of extremities) {
    // It takes the place of one.
    if (event.prevEventIds.includes(head.eventId)) return false;
    if (serverNameOf(head.sender) === server) sameServer += 1;
  }
  return sameServer >= maxExtremitiesOfServer || extremities.length >= maxExtremitiesOfAll;
};
