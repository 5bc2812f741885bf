/**
 * Which types of account data clients may write; the log keeps the data itself, see
 * streams/account-data.ts.
 */
import { matrixError } from '../../spec/errors.ts';

/** Read markers and push rules have endpoints of their own. */
const SERVER_CONTROLLED: readonly string[] = ['m.fully_read', 'm.push_rules'];

/** Throws `M_BAD_JSON` (405) for types that only the server writes, as the specification says. */
export const assertWritableType = (type: string): void => {
  if (SERVER_CONTROLLED.includes(type)) {
    throw matrixError('M_BAD_JSON', `${type} cannot be set through this API`, {}, { status: 405 });
  }
};
