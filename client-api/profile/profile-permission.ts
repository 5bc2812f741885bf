/** Which fields of their profile who may change. */
import type { Requester } from '../../homeserver/accounts/requester.ts';
import { matrixError } from '../../spec/errors.ts';

/** A guest only the display name. Throws `M_GUEST_ACCESS_FORBIDDEN`. */
export const assertMayChangeField = ({ isGuest }: Requester, field: string): void => {
  if (isGuest && field !== 'displayname') {
    throw matrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may only change their display name');
  }
};
