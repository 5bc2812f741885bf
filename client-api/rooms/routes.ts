/** The routes by which people make, enter, use and describe rooms. */
import type { Route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { createRoom } from './creation/create-room.ts';
import { upgradeRoom } from './creation/upgrade-room.ts';
import { deleteRoomAlias } from './directory/delete-room-alias.ts';
import { getLocalAliases } from './directory/get-local-aliases.ts';
import { getPublicRooms } from './directory/get-public-rooms.ts';
import { getRoomIdByAlias } from './directory/get-room-id-by-alias.ts';
import { getRoomVisibilityOnDirectory } from './directory/get-room-visibility-on-directory.ts';
import { queryPublicRooms } from './directory/query-public-rooms.ts';
import { setRoomAlias } from './directory/set-room-alias.ts';
import { setRoomVisibilityOnDirectory } from './directory/set-room-visibility-on-directory.ts';
import { ban } from './membership/ban.ts';
import { forgetRoom } from './membership/forget-room.ts';
import { getJoinedRooms } from './membership/get-joined-rooms.ts';
import { inviteUser } from './membership/invite-user.ts';
import { joinRoom } from './membership/join-room.ts';
import { joinRoomById } from './membership/join-room-by-id.ts';
import { kick } from './membership/kick.ts';
import { knockRoom } from './membership/knock-room.ts';
import { leaveRoom } from './membership/leave-room.ts';
import { unban } from './membership/unban.ts';
import { postReceipt } from './receipts/post-receipt.ts';
import { setReadMarker } from './receipts/set-read-marker.ts';
import { reportEvent } from './reporting/report-event.ts';
import { reportRoom } from './reporting/report-room.ts';
import { reportUser } from './reporting/report-user.ts';
import { redactEvent } from './send/redact-event.ts';
import { sendMessage } from './send/send-message.ts';
import { getJoinedMembersByRoom } from './state/get-joined-members-by-room.ts';
import { getMembersByRoom } from './state/get-members-by-room.ts';
import { getRoomState } from './state/get-room-state.ts';
import { getRoomStateWithKey } from './state/get-room-state-with-key.ts';
import { setRoomStateWithKey } from './state/set-room-state-with-key.ts';
import { deleteRoomTag } from './tags/delete-room-tag.ts';
import { getRoomTags } from './tags/get-room-tags.ts';
import { setRoomTag } from './tags/set-room-tag.ts';
import { setTyping } from './typing/set-typing.ts';

export type RoomRoutesDeps = Pick<
  ClientApiDeps,
  | 'auth'
  | 'membership'
  | 'roomCreator'
  | 'roomUpgrader'
  | 'roomState'
  | 'roomAliases'
  | 'publicRooms'
  | 'eventSender'
  | 'clientEvents'
  | 'receipts'
  | 'typing'
  | 'accountData'
  | 'reports'
>;

export const roomRoutes = (deps: RoomRoutesDeps): Route[] => [
  createRoom(deps),
  upgradeRoom(deps),
  deleteRoomAlias(deps),
  getLocalAliases(deps),
  getPublicRooms(deps),
  getRoomIdByAlias(deps),
  getRoomVisibilityOnDirectory(deps),
  queryPublicRooms(deps),
  setRoomAlias(deps),
  setRoomVisibilityOnDirectory(deps),
  ban(deps),
  forgetRoom(deps),
  getJoinedRooms(deps),
  inviteUser(deps),
  joinRoomById(deps),
  joinRoom(deps),
  kick(deps),
  knockRoom(deps),
  leaveRoom(deps),
  unban(deps),
  postReceipt(deps),
  setReadMarker(deps),
  reportEvent(deps),
  reportRoom(deps),
  reportUser(deps),
  redactEvent(deps),
  sendMessage(deps),
  getJoinedMembersByRoom(deps),
  getMembersByRoom(deps),
  getRoomStateWithKey(deps),
  getRoomState(deps),
  setRoomStateWithKey(deps),
  deleteRoomTag(deps),
  getRoomTags(deps),
  setRoomTag(deps),
  setTyping(deps),
];
