/** Who may change which profile. */
import type { Requester } from '../../homeserver/accounts/requester.ts';
import { matrixError } from '../../spec/errors.ts';
import type { UserId } from '../../spec/identifiers.ts';
import { assertNotSuspended, assertSelf } from '../auth.ts';

/**
 * One's own; a guest only the display name, a suspended user nothing. Throws `M_FORBIDDEN`,
 * `M_GUEST_ACCESS_FORBIDDEN` or `M_USER_SUSPENDED`.
 */
export const assertMayChangeProfile = (
  requester: Requester,
  userId: UserId,
  field: string,
): void => {
  assertSelf(requester, userId, 'change the profile');
  assertNotSuspended(requester);
  if (requester.isGuest && field !== 'displayname') {
    throw matrixError('M_GUEST_ACCESS_FORBIDDEN', 'Guests may only change their display name');
  }
};
