/**
 * What people have set for a room follows them into the room that replaces it.
 * https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
import type { Logger } from 'pino';
import type { JsonObject } from '../../spec/event.ts';
import { isRoomId, type RoomId, serverNameOf, type UserId } from '../../spec/identifiers.ts';
import { withRulesOfRoom } from '../../spec/push-rules/user-rules.ts';
import type { PushRules } from '../push/push-rules.ts';
import type { AccountData } from '../streams/account-data.ts';
import type { EventStore } from './event-store.ts';
import type { LiveRoom } from './live-room.ts';
import type { RoomObserver } from './room-observer.ts';

export interface PredecessorSettingsDeps {
  readonly observer: RoomObserver;
  readonly events: EventStore;
  readonly accountData: AccountData;
  readonly pushRules: PushRules;
  readonly logger: Logger;
}

const carriedTypes = ['m.tag'];

export class PredecessorSettings {
  readonly #deps: PredecessorSettingsDeps;
  readonly #underWay = new Set<Promise<void>>();

  constructor(deps: PredecessorSettingsDeps) {
    this.#deps = deps;
    deps.observer.onAppended((room, appended, _write, isOurs) => {
      if (!isOurs) return;
      for (const { event } of appended) {
        if (event.type !== 'm.room.member' || event.content['membership'] !== 'join') continue;
        const userId = event.stateKey as UserId;
        if (serverNameOf(userId) === room.localServer) this.#begin(room, userId);
      }
    });
  }

  /** Resolves once nothing is being carried over. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  #begin(room: LiveRoom, userId: UserId): void {
    const predecessor = this.#predecessorOf(room);
    if (predecessor === undefined) return;
    const work = this.#carry(userId, predecessor, room.id).catch((error: unknown) => {
      this.#deps.logger.error({ err: error, roomId: room.id, userId }, 'room settings left behind');
    });
    const tracked = work.finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  /** The create event authorises every event, so it is in memory when one has been appended. */
  #predecessorOf(room: LiveRoom): RoomId | undefined {
    const ref = room.stateRef('m.room.create', '');
    const create = ref && this.#deps.events.cached(ref.nid);
    const predecessor = create?.event.content['predecessor'] as JsonObject | null | undefined;
    const roomId = predecessor?.['room_id'];
    return typeof roomId === 'string' && isRoomId(roomId) ? roomId : undefined;
  }

  async #carry(userId: UserId, from: RoomId, to: RoomId): Promise<void> {
    const { accountData, pushRules } = this.#deps;
    for (const type of carriedTypes) {
      const content = await accountData.get(userId, from, type);
      if (content === undefined) continue;
      // What is set for the new room already stays.
      await accountData.update(userId, to, type, (present) =>
        present === undefined ? content : undefined,
      );
    }
    const { stored } = await pushRules.of(userId);
    if (withRulesOfRoom(stored, from, to) !== stored) {
      await pushRules.change(userId, (rules) => withRulesOfRoom(rules, from, to));
    }
    await accountData.update(userId, undefined, 'm.direct', (direct) => withRoom(direct, from, to));
  }
}

/** The list of direct chats with the new room beside the old one. */
const withRoom = (
  direct: JsonObject | undefined,
  from: RoomId,
  to: RoomId,
): JsonObject | undefined => {
  let changed = false;
  const entries = Object.entries(direct ?? {}).map(([user, rooms]) => {
    if (!Array.isArray(rooms) || !rooms.includes(from) || rooms.includes(to)) return [user, rooms];
    changed = true;
    return [user, [...rooms, to]];
  });
  return changed ? Object.fromEntries(entries) : undefined;
};
