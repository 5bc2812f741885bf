/**
 * Invites of our users by people of other servers: checked, signed by this server, and shown to the
 * invited user.
 *
 * Specification: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
 */
import { rawJson } from '../../homeserver/http/raw-json.ts';
import type { Invites } from '../../homeserver/rooms/invites.ts';
import type { OutsideRooms } from '../../homeserver/rooms/outside-rooms.ts';
import type { Db } from '../../homeserver/storage/database.ts';
import { roomsById } from '../../homeserver/storage/rooms.ts';
import { userById } from '../../homeserver/storage/users.ts';
import { exactJson } from '../../spec/canonical-json.ts';
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject, MatrixEvent, Pdu } from '../../spec/event.ts';
import type { RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { type RoomVersionRules, rulesOf } from '../../spec/room-versions.ts';
import type { SigningKey } from '../../spec/signing.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import type { RoomAccess } from './room-access.ts';
import { roomIntroduction, strippedStateWith } from './room-introduction.ts';
import { signedMemberEvent } from './signed-member-event.ts';

export interface InboundInvitesDeps {
  readonly db: Db;
  readonly serverName: ServerName;
  readonly signingKey: () => SigningKey;
  readonly keyRing: KeyRing;
  readonly access: RoomAccess;
  readonly outsideRooms: OutsideRooms;
  readonly localInvites: Pick<Invites, 'checkBlocked'>;
}

export interface InboundInvite {
  readonly origin: ServerName;
  readonly roomId: RoomId;
  readonly eventId: string;
  readonly roomVersion: string;
  readonly event: JsonObject;
  readonly roomState: unknown;
}

export class InboundInvites {
  readonly #deps: InboundInvitesDeps;

  constructor(deps: InboundInvitesDeps) {
    this.#deps = deps;
  }

  /**
   * The invite as it was sent, with our signature added.
   * @throws MatrixError M_INCOMPATIBLE_ROOM_VERSION, M_INVALID_PARAM, M_MISSING_PARAM, M_TOO_LARGE,
   * M_FORBIDDEN, M_INVITE_BLOCKED
   */
  async receive(invite: InboundInvite): Promise<JsonObject> {
    const { keyRing, access, outsideRooms, serverName, localInvites } = this.#deps;
    const rules = rulesOf(invite.roomVersion);
    if (rules === undefined) {
      throw matrixError(
        'M_INCOMPATIBLE_ROOM_VERSION',
        `This server does not know room version ${invite.roomVersion}`,
        { room_version: invite.roomVersion },
      );
    }
    await this.#checkVersion(invite.roomId, rules);
    const ours = await access.ours(invite.roomId);
    if (ours !== undefined) await access.forVisitor(invite.origin, invite.roomId);
    const room = { id: invite.roomId, rules };
    const signed = await signedMemberEvent(this.#deps, invite.event, {
      room,
      eventId: invite.eventId,
      membership: 'invite',
      senderServer: invite.origin,
      subjectServer: serverName,
    });
    const introduction = await roomIntroduction(keyRing, room, invite.roomState);
    // Older rooms have inviting servers that send less; they may be let off.
    if (introduction.problem !== undefined && rules.roomIdIsCreateHash) throw introduction.problem;
    const invitee = signed.stateKey as UserId;
    await this.#checkAccount(invitee);
    await localInvites.checkBlocked(invitee);
    // Where this server is in the room, the invite comes again with the room's other events.
    if (ours === undefined) {
      const strippedState = strippedStateWith(introduction, signed);
      await outsideRooms.record(invite.roomId, rules, signed, strippedState);
    }
    return rawJson(exactJson(withSignaturesOf(invite.event, signed)));
  }

  /** A room that this server has been in is of the version it was then. */
  async #checkVersion(roomId: RoomId, rules: RoomVersionRules): Promise<void> {
    const [record] = await roomsById(this.#deps.db, [roomId]);
    const version = record?.version ?? rules.version;
    if (version === rules.version) return;
    throw matrixError('M_INVALID_PARAM', `The room is of version ${version}`);
  }

  async #checkAccount(invitee: UserId): Promise<void> {
    const account = await userById(this.#deps.db, invitee);
    if (account === undefined || account.deactivatedAtMs !== undefined) {
      throw matrixError('M_FORBIDDEN', `${invitee} has no account here`);
    }
  }
}

/** "All other fields of the events should remain untouched." */
const withSignaturesOf = (event: JsonObject, signed: MatrixEvent): JsonObject => ({
  ...event,
  signatures: (signed.pdu as Pdu).signatures,
});
