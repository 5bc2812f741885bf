/** The stages of User-Interactive Authentication that this server knows. */
import { matrixError } from '../../spec/errors.ts';
import { type Credentials, identifierOf } from './credentials.ts';
import type { UiaStage } from './interactive-auth.ts';
import type { RegistrationTokens } from './registration-tokens.ts';

export const DUMMY = 'm.login.dummy';
export const PASSWORD = 'm.login.password';
export const REGISTRATION_TOKEN = 'm.login.registration_token';

/** https://spec.matrix.org/v1.19/client-server-api/#dummy-auth */
export const dummyStage: UiaStage = { type: DUMMY, attempt: async () => true };

/** https://spec.matrix.org/v1.19/client-server-api/#password-based, of the requester alone. */
export const passwordStage = (credentials: Credentials): UiaStage => ({
  type: PASSWORD,
  attempt: async ({ auth, userId, ip }) => {
    const { password } = auth;
    if (typeof password !== 'string') {
      throw matrixError('M_MISSING_PARAM', "'auth.password' in the body is missing");
    }
    await credentials.checkOwnPassword(userId, { identifier: identifierOf(auth), password, ip });
    return true;
  },
});

/**
 * https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration
 *
 * Remembers the token; a use of it is counted when the account is made.
 */
export const registrationTokenStage = (tokens: RegistrationTokens): UiaStage => ({
  type: REGISTRATION_TOKEN,
  attempt: async ({ auth }) => {
    const { token } = auth;
    if (typeof token !== 'string') {
      throw matrixError('M_MISSING_PARAM', "'auth.token' in the body is missing");
    }
    if (!(await tokens.isValid(token))) {
      throw matrixError('M_UNAUTHORIZED', 'This registration token is not valid');
    }
    return token;
  },
});
