/**
 * Inviting people, of this server and of others.
 * https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite
 */
import { matrixError } from '../../spec/errors.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { EventId, RoomId, ServerName, UserId } from '../../spec/identifiers.ts';
import { serverNameOf } from '../../spec/identifiers.ts';
import type { AccountData } from '../streams/account-data.ts';
import type { EventDraft, LocalEvents } from './local-events.ts';
import { type MemberProfiles, memberContent } from './member-profiles.ts';
import type { RemoteRooms } from './remote-rooms.ts';

/** The part of the rate limiter that counts what one request may do many times. */
export interface InviteLimits {
  /** @throws MatrixError M_LIMIT_EXCEEDED */
  take(name: 'invite', userId: UserId, cost: number): void;
}

export interface InvitesDeps {
  readonly serverName: ServerName;
  readonly localEvents: LocalEvents;
  readonly profiles: MemberProfiles;
  readonly accountData: AccountData;
  readonly remote: RemoteRooms;
  /** Undefined: no limits. */
  readonly limits: InviteLimits | undefined;
}

export class Invites {
  readonly #deps: InvitesDeps;

  constructor(deps: InvitesDeps) {
    this.#deps = deps;
  }

  /**
   * Whether these people may be asked, before anything is done. Each counts against the limit; the
   * last request may take more than is left, so that a room with many people can be made at all.
   * @throws MatrixError M_LIMIT_EXCEEDED, M_INVITE_BLOCKED
   */
  async check(sender: UserId, invitees: readonly UserId[]): Promise<void> {
    if (invitees.length > 0) this.#deps.limits?.take('invite', sender, invitees.length);
    await Promise.all(invitees.map((invitee) => this.checkBlocked(invitee)));
  }

  /**
   * Sends an invite. `extra` is what the content has besides membership and profile.
   * @throws MatrixError M_FORBIDDEN, M_INVITE_BLOCKED, M_UNSUPPORTED_ROOM_VERSION
   */
  async send(
    sender: UserId,
    roomId: RoomId,
    invitee: UserId,
    extra: JsonObject = {},
  ): Promise<EventId> {
    const { serverName, localEvents, profiles, remote } = this.#deps;
    await this.checkBlocked(invitee);
    const isLocal = serverNameOf(invitee) === serverName;
    const profile = isLocal ? await profiles.of(invitee) : {};
    const draft: EventDraft = {
      type: 'm.room.member',
      stateKey: invitee,
      sender,
      content: memberContent('invite', profile, extra),
    };
    if (isLocal) return localEvents.send(roomId, draft);
    return localEvents.sendCountersigned(roomId, draft, (room, made) => remote.invite(room, made));
  }

  /**
   * Whether one of this server's users takes invites.
   * https://spec.matrix.org/v1.19/client-server-api/#invite-permission
   * @throws MatrixError M_INVITE_BLOCKED
   */
  async checkBlocked(invitee: UserId): Promise<void> {
    const { accountData, serverName } = this.#deps;
    if (serverNameOf(invitee) !== serverName) return;
    const config = await accountData.get(invitee, undefined, 'm.invite_permission_config');
    if (config?.['default_action'] === 'block') {
      throw matrixError('M_INVITE_BLOCKED', `${invitee} takes no invites`);
    }
  }
}
