/**
 * Invites taken back: of a room that this server is not in, it hears no more than that one of its
 * users is invited to it no longer, from the server that invited them.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites
 */
import type { OutsideRooms } from '../../homeserver/rooms/outside-rooms.ts';
import type { UserRoom, UserRooms } from '../../homeserver/rooms/user-rooms.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { roomsById } from '../../homeserver/storage/events.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import {
  isUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import { rulesOf } from '../../spec/room-versions.ts';
import { checkPdus } from '../checked-events.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { serversNamedIn } from '../rooms/room-introduction.ts';

export interface OutsideDeparturesDeps {
  readonly db: Db;
  readonly serverName: ServerName;
  readonly keyRing: KeyRing;
  readonly userRooms: UserRooms;
  readonly outsideRooms: OutsideRooms;
}

const NOT_HERE = 'This server is not in the room';

export class OutsideDepartures {
  readonly #deps: OutsideDeparturesDeps;

  constructor(deps: OutsideDeparturesDeps) {
    this.#deps = deps;
  }

  /** Events of a room that this server is not in; answered by event id. */
  async receive(
    origin: ServerName,
    roomId: RoomId,
    pdus: readonly JsonObject[],
  ): Promise<Record<string, { error?: string }>> {
    const { db, keyRing, outsideRooms } = this.#deps;
    const [record] = await roomsById(db, [roomId]);
    const rules = record && rulesOf(record.version);
    // Without the version, events have not even ids.
    if (rules === undefined) return {};
    const results: Record<string, { error?: string }> = {};
    const checked = await checkPdus(keyRing, { id: roomId, rules }, pdus);
    for (const { event, eventId, error } of checked) {
      if (event === undefined) {
        if (eventId !== undefined) results[eventId] = { error };
      } else if (await this.#endsInvite(origin, event)) {
        await outsideRooms.record(roomId, rules, event, undefined);
        results[event.eventId] = {};
      } else {
        results[event.eventId] = { error: NOT_HERE };
      }
    }
    return results;
  }

  /** Whether this ends an invite or knock of a user of ours, by someone who may be believed. */
  async #endsInvite(origin: ServerName, event: MatrixEvent): Promise<boolean> {
    const { stateKey, content, sender } = event;
    const isDeparture =
      event.type === 'm.room.member' &&
      (content['membership'] === 'leave' || content['membership'] === 'ban');
    if (!isDeparture || stateKey === undefined || !isUserId(stateKey)) return false;
    if (serverNameOf(stateKey) !== this.#deps.serverName) return false;
    if (serverNameOf(sender) !== origin) return false;
    const room = await this.#userRoom(stateKey, event.roomId);
    if (room?.membership !== 'invite' && room?.membership !== 'knock') return false;
    // There is no telling who may do what in the room; those who presented it are known to be in it.
    return serversNamedIn(room.strippedState).has(origin);
  }

  async #userRoom(userId: UserId, roomId: RoomId): Promise<UserRoom | undefined> {
    const rooms = await this.#deps.userRooms.of(userId);
    return [...rooms.values()].find((room) => room.roomId === roomId);
  }
}
