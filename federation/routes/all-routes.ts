/** Every route that other servers call, but for those that need nothing but keys. */
import type { OpenIdTokens } from '../../homeserver/accounts/openid-tokens.ts';
import type { Profiles } from '../../homeserver/accounts/profiles.ts';
import type { Core } from '../../homeserver/core.ts';
import { RoomSummaries } from '../../homeserver/discovery/room-summaries.ts';
import { ServerHierarchy } from '../../homeserver/discovery/server-hierarchy.ts';
import type { Auth, Route } from '../../homeserver/http/route.ts';
import { atOwner } from '../../homeserver/owners.ts';
import type { Invites } from '../../homeserver/rooms/invites.ts';
import type { OutsideRooms } from '../../homeserver/rooms/outside-rooms.ts';
import type { PublicRooms } from '../../homeserver/rooms/public-rooms.ts';
import type { RestrictedJoins } from '../../homeserver/rooms/restricted-joins.ts';
import type { RoomAliases } from '../../homeserver/rooms/room-aliases.ts';
import type { ServerName } from '../../spec/identifiers.ts';
import type { KeyRing } from '../keys/key-ring.ts';
import { GraphWalk } from '../rooms/graph-walk.ts';
import { InboundInvites } from '../rooms/inbound-invites.ts';
import { MembershipHandshakes } from '../rooms/membership-handshakes.ts';
import type { RoomAccess } from '../rooms/room-access.ts';
import { ServerVisibility } from '../rooms/server-visibility.ts';
import { StateAnswers } from '../rooms/state-answers.ts';
import type { RoomIntake } from '../transactions/room-intake.ts';
import type { TransactionReceiver } from '../transactions/transaction-receiver.ts';
import { backfillRoom } from './backfill-room.ts';
import { claimUserEncryptionKeys } from './claim-user-encryption-keys.ts';
import { exchangeOpenIdToken } from './exchange-open-id-token.ts';
import { exchangeThirdPartyInvite } from './exchange-third-party-invite.ts';
import { getEvent } from './get-event.ts';
import { getEventAuth } from './get-event-auth.ts';
import { getEventByTimestamp } from './get-event-by-timestamp.ts';
import { getMissingPreviousEvents } from './get-missing-previous-events.ts';
import { getRoomState } from './get-room-state.ts';
import { getRoomStateIds } from './get-room-state-ids.ts';
import { getSpaceHierarchy } from './get-space-hierarchy.ts';
import { getUserDevices } from './get-user-devices.ts';
import { makeJoin } from './make-join.ts';
import { makeKnock } from './make-knock.ts';
import { makeLeave } from './make-leave.ts';
import { getPublicRooms, queryPublicRooms } from './public-rooms.ts';
import { queryProfile } from './query-profile.ts';
import { queryRoomDirectory } from './query-room-directory.ts';
import { queryUserEncryptionKeys } from './query-user-encryption-keys.ts';
import { sendInviteV1 } from './send-invite-v1.ts';
import { sendInviteV2 } from './send-invite-v2.ts';
import { sendJoinV1 } from './send-join-v1.ts';
import { sendJoinV2 } from './send-join-v2.ts';
import { sendKnock } from './send-knock.ts';
import { sendLeaveV1 } from './send-leave-v1.ts';
import { sendLeaveV2 } from './send-leave-v2.ts';
import { sendTransaction } from './send-transaction.ts';

/** What other servers are answered from, besides the core. */
export interface FederationServices {
  readonly profiles: Pick<Profiles, 'of'>;
  readonly roomAliases: Pick<RoomAliases, 'resolve'>;
  readonly publicRooms: Pick<PublicRooms, 'list'> | undefined;
  readonly restrictedJoins: RestrictedJoins;
  readonly invites: Pick<Invites, 'send' | 'checkBlocked'>;
  readonly openIdTokens: Pick<OpenIdTokens, 'userOf'>;
}

export interface RouteParts {
  readonly core: Core;
  readonly auth: Auth<ServerName>;
  readonly keyRing: KeyRing;
  readonly access: RoomAccess;
  readonly receiver: Pick<RoomIntake, 'receive'>;
  readonly outsideRooms: OutsideRooms;
  readonly transactions: TransactionReceiver;
}

export const federationRoutes = (parts: RouteParts, services: FederationServices): Route[] => {
  const { core, auth, keyRing, access, receiver, outsideRooms, transactions } = parts;
  const db = core.database;
  const { restrictedJoins } = services;
  const handshakes = atOwner(
    core.owners,
    'handshakes',
    new MembershipHandshakes({ ...core, keyRing, access, receiver, restrictedJoins }),
    { template: (_origin, roomId) => roomId },
  );
  const inboundInvites = new InboundInvites({
    ...core,
    db,
    keyRing,
    access,
    outsideRooms,
    localInvites: services.invites,
  });
  const reading = {
    ...core,
    auth,
    access,
    visibility: new ServerVisibility(core),
    walk: new GraphWalk({ ...core, db }),
    states: new StateAnswers({ ...core, db }),
  };
  const handshake = { ...reading, handshakes };
  const invite = { auth, invites: inboundInvites };
  const userKeys = { ...core, auth };
  const summaries = new RoomSummaries({ ...core, restrictedJoins });
  const hierarchy = new ServerHierarchy({ ...core, summaries });
  const queries = { ...services, auth, serverName: core.serverName };
  return [
    getEvent(reading),
    getEventAuth(reading),
    getRoomState(reading),
    getRoomStateIds(reading),
    backfillRoom(reading),
    getMissingPreviousEvents(reading),
    getEventByTimestamp({ ...reading, db }),
    getSpaceHierarchy({ auth, access, hierarchy }),
    makeJoin(handshake),
    sendJoinV1(handshake),
    sendJoinV2(handshake),
    makeLeave(handshake),
    sendLeaveV1(handshake),
    sendLeaveV2(handshake),
    makeKnock(handshake),
    sendKnock(handshake),
    sendInviteV1(invite),
    sendInviteV2(invite),
    exchangeThirdPartyInvite({ ...queries, access, localInvites: services.invites }),
    queryRoomDirectory(queries),
    queryProfile(queries),
    getPublicRooms(queries),
    queryPublicRooms(queries),
    exchangeOpenIdToken(services.openIdTokens),
    queryUserEncryptionKeys(userKeys),
    claimUserEncryptionKeys(userKeys),
    getUserDevices(userKeys),
    sendTransaction({ auth, transactions }),
  ];
};
