/**
 * Invites to people known by something else than a user id, once an identity server has vouched for
 * them. https://spec.matrix.org/v1.19/client-server-api/#third-party-invites
 */
import type { JsonObject, MatrixEvent } from '../../spec/event.ts';
import type { UserId } from '../../spec/identifiers.ts';

/** What an identity server gives to whoever it has found to own the address. */
export interface ThirdPartySigned {
  /** Who sent the invite. */
  readonly sender: UserId;
  /** Whom it turned out to be for. */
  readonly mxid: UserId;
  /** State key of the `m.room.third_party_invite` event. */
  readonly token: string;
  readonly signatures: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Content of the member event that turns a pending invite into an invite. */
export const thirdPartyInviteContent = (
  pending: MatrixEvent,
  signed: ThirdPartySigned,
): JsonObject => ({
  membership: 'invite',
  third_party_invite: {
    display_name: pending.content['display_name'] ?? '',
    signed: { ...signed } as JsonObject,
  },
});
