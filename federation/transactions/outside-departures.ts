/**
 * Invites taken back: of a room that this server is not in, it hears no more than that one of its
 * users is invited to it no longer, from whoever invited them.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites
 */

import type { OutsideRooms } from '../../homeserver/rooms/outside-rooms.ts';
import type { UserRoom, UserRooms } from '../../homeserver/rooms/user-rooms.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { outsideVersion } from '../../homeserver/storage/outside-memberships.ts';
import { emptyRecord } from '../../spec/empty-record.ts';
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import {
  type EventId,
  isUserId,
  type RoomId,
  type ServerName,
  serverNameOf,
  type UserId,
} from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
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
    const results = emptyRecord<{ error?: string }>();
    for (const pdu of pdus) {
      const result = await this.#receive(origin, roomId, pdu);
      if (result !== undefined) results[result.eventId] = result.verdict;
    }
    return results;
  }

  /** Undefined for what says nothing of a user of ours: without the version, it has not even an id. */
  async #receive(
    origin: ServerName,
    roomId: RoomId,
    pdu: JsonObject,
  ): Promise<{ eventId: EventId; verdict: { error?: string } } | undefined> {
    const { db, keyRing, outsideRooms } = this.#deps;
    const userId = pdu['state_key'];
    if (typeof userId !== 'string' || !isUserId(userId)) return undefined;
    if (serverNameOf(userId) !== this.#deps.serverName) return undefined;
    const version = await outsideVersion(db, userId, roomId);
    const rules = version === undefined ? undefined : rulesOf(version);
    if (rules === undefined) return undefined;
    const [checked] = await checkPdus(keyRing, { id: roomId, rules }, [pdu]);
    if (checked?.eventId === undefined) return undefined;
    const { event, eventId, error } = checked;
    if (event === undefined) return { eventId, verdict: { error } };
    if (!(await this.#ends(origin, event, rules))) return { eventId, verdict: { error: NOT_HERE } };
    await outsideRooms.record(roomId, rules, event, undefined);
    return { eventId, verdict: {} };
  }

  /** Whether this ends an invite or knock of a user of ours, by someone who may be believed. */
  async #ends(origin: ServerName, event: MatrixEvent, rules: RoomVersionRules): Promise<boolean> {
    const { stateKey, content, sender } = event;
    const isDeparture =
      event.type === 'm.room.member' &&
      (content['membership'] === 'leave' || content['membership'] === 'ban');
    if (!isDeparture || serverNameOf(sender) !== origin) return false;
    const room = await this.#userRoom(stateKey as UserId, event.roomId);
    // There is no telling who may do what in the room; those who presented it are known to be in it.
    if (room?.membership === 'knock') return serversNamedIn(room.strippedState).has(origin);
    if (room?.membership !== 'invite') return false;
    return (
      invitedBy(room.strippedState, event) || isCreator(room.strippedState, rules, event.sender)
    );
  }

  async #userRoom(userId: UserId, roomId: RoomId): Promise<UserRoom | undefined> {
    const rooms = await this.#deps.userRooms.of(userId);
    return [...rooms.values()].find((room) => room.roomId === roomId);
  }
}

interface Stripped {
  readonly type: string;
  readonly state_key: string;
  readonly sender: string;
  readonly content: JsonObject;
}

const strippedIn = (text: string | undefined): readonly Stripped[] =>
  JSON.parse(text ?? '[]') as Stripped[];

/** Whether whoever takes the invite back has sent it: it is the last of the list. */
const invitedBy = (text: string | undefined, { sender, stateKey }: MatrixEvent): boolean => {
  const invite = strippedIn(text).at(-1);
  return invite?.state_key === stateKey && invite?.sender === sender;
};

/**
 * Creators may do anything where their power has no end, and there the create event, of which the
 * room's id is made, cannot be another. Of everyone else only the room's own servers know the power.
 */
const isCreator = (text: string | undefined, rules: RoomVersionRules, sender: UserId): boolean => {
  if (!rules.roomIdIsCreateHash || !rules.powerLevels.creatorsAreInfinite) return false;
  const create = strippedIn(text).find(({ type }) => type === 'm.room.create');
  if (create === undefined) return false;
  const { additional_creators: additional } = create.content;
  return create.sender === sender || (Array.isArray(additional) && additional.includes(sender));
};
