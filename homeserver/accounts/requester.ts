/** Who makes a request, as every handler sees it. */
import type { DeviceId, UserId } from '../../spec/identifiers.ts';

export interface Requester {
  readonly userId: UserId;
  /** `undefined` for an application service acting without a device. */
  readonly deviceId: DeviceId | undefined;
  readonly isAdmin: boolean;
  readonly isGuest: boolean;
  readonly locked: boolean;
  readonly suspended: boolean;
  /** The application service acting for the user. */
  readonly appserviceId: string | undefined;
  /** No per-user limit counts against them. */
  readonly rateLimited: boolean;
}

/** Whoever holds an access token of their own. One object for as long as the token is in memory. */
export interface DeviceRequester extends Requester {
  readonly deviceId: DeviceId;
}
