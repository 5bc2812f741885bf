/** Every route of this API. A part of the API has a function here that lists its operations. */
import type { Route } from '../homeserver/http/route.ts';
import { getAccountData } from './account-data/get-account-data.ts';
import { getAccountDataPerRoom } from './account-data/get-account-data-per-room.ts';
import { setAccountData } from './account-data/set-account-data.ts';
import { setAccountDataPerRoom } from './account-data/set-account-data-per-room.ts';
import { changePassword } from './account-management/change-password.ts';
import { deactivateAccount } from './account-management/deactivate-account.ts';
import { getAccount3PIDs } from './account-management/get-account3-pids.ts';
import { thirdPartyIdRoutes } from './account-management/third-party-ids.ts';
import { accountModerationRoutes } from './admin/account-moderation.ts';
import { getRegisterNonce } from './admin/get-register-nonce.ts';
import { getWhoIs } from './admin/get-who-is.ts';
import { registerWithSharedSecret } from './admin/register-with-shared-secret.ts';
import { getCapabilities } from './capabilities/get-capabilities.ts';
import type { ClientApiDeps } from './deps.ts';
import { deleteDevice } from './device-management/delete-device.ts';
import { deleteDevices } from './device-management/delete-devices.ts';
import { getDevice } from './device-management/get-device.ts';
import { getDevices } from './device-management/get-devices.ts';
import { updateDevice } from './device-management/update-device.ts';
import { discoveryRoutes } from './discovery/routes.ts';
import { encryptionRoutes } from './encryption/routes.ts';
import { defineFilter } from './filter/define-filter.ts';
import { getFilter } from './filter/get-filter.ts';
import { getEventContext } from './history/get-event-context.ts';
import { getOneRoomEvent } from './history/get-one-room-event.ts';
import { getRoomEvents } from './history/get-room-events.ts';
import { requestOpenIdToken } from './openid/request-open-id-token.ts';
import { presenceRoutes } from './presence/routes.ts';
import { deleteProfileField } from './profile/delete-profile-field.ts';
import { getProfileField } from './profile/get-profile-field.ts';
import { getUserProfile } from './profile/get-user-profile.ts';
import { setProfileField } from './profile/set-profile-field.ts';
import { pushRoutes } from './push/routes.ts';
import { checkUsernameAvailability } from './registration/check-username-availability.ts';
import { register } from './registration/register.ts';
import { registrationTokenValidity } from './registration/registration-token-validity.ts';
import { roomRoutes } from './rooms/routes.ts';
import { generateLoginToken } from './session/generate-login-token.ts';
import { getLoginFlows } from './session/get-login-flows.ts';
import { getTokenOwner } from './session/get-token-owner.ts';
import { login } from './session/login.ts';
import { logout } from './session/logout.ts';
import { logoutAll } from './session/logout-all.ts';
import { refresh } from './session/refresh.ts';
import { getEvents } from './sync/get-events.ts';
import { sync } from './sync/sync.ts';
import { getProtocols } from './third-party-networks/get-protocols.ts';
import { thirdPartyLookups } from './third-party-networks/lookups.ts';
import { getVersions } from './versions/get-versions.ts';
import { getTurnServer } from './voip/get-turn-server.ts';
import { getWellknown } from './well-known/get-wellknown.ts';
import { getWellknownSupport } from './well-known/get-wellknown-support.ts';

/** What the routes of accounts use. */
export type AccountRoutesDeps = Pick<
  ClientApiDeps,
  'auth' | 'accounts' | 'accountData' | 'wellKnown' | 'defaultRoomVersion' | 'serverName'
>;

export const accountRoutes = (deps: AccountRoutesDeps): Route[] => [
  getVersions(),
  getWellknown(deps),
  getWellknownSupport(deps),
  getCapabilities(deps),
  register(deps),
  checkUsernameAvailability(deps),
  registrationTokenValidity(deps),
  getRegisterNonce(deps),
  registerWithSharedSecret(deps),
  getWhoIs(deps),
  ...accountModerationRoutes(deps),
  getLoginFlows(deps),
  login(deps),
  refresh(deps),
  generateLoginToken(deps),
  logout(deps),
  logoutAll(deps),
  getTokenOwner(deps),
  changePassword(deps),
  deactivateAccount(deps),
  getAccount3PIDs(deps),
  ...thirdPartyIdRoutes(deps),
  getDevices(deps),
  getDevice(deps),
  updateDevice(deps),
  deleteDevice(deps),
  deleteDevices(deps),
  getUserProfile(deps),
  getProfileField(deps),
  setProfileField(deps),
  deleteProfileField(deps),
  setAccountData(deps),
  getAccountData(deps),
  setAccountDataPerRoom(deps),
  getAccountDataPerRoom(deps),
  defineFilter(deps),
  getFilter(deps),
];

/** Sync and the reading of history. */
export const readingRoutes = (
  deps: Pick<ClientApiDeps, 'auth' | 'accounts' | 'sync' | 'presence' | 'history' | 'clientEvents'>,
): Route[] => [
  sync(deps),
  getEvents(deps),
  getRoomEvents(deps),
  getOneRoomEvent(deps),
  getEventContext(deps),
];

export const clientApiRoutes = (deps: ClientApiDeps): Route[] => [
  ...accountRoutes(deps),
  ...readingRoutes(deps),
  ...presenceRoutes(deps),
  ...pushRoutes(deps),
  ...encryptionRoutes(deps),
  ...discoveryRoutes(deps),
  getTurnServer(deps),
  getProtocols(deps),
  ...thirdPartyLookups(deps),
  requestOpenIdToken(deps),
  ...roomRoutes(deps),
];
