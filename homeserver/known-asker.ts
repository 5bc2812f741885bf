import { matrixError } from '../spec/errors.ts';
import type { UserId } from '../spec/identifiers.ts';

/**
 * Who is behind a question to another server. None is asked for somebody unknown: anyone could have
 * this one knock on any door, as often as they like.
 * @throws MatrixError M_MISSING_TOKEN
 */
export const knownAsker = (asker: UserId | undefined): UserId => {
  if (asker !== undefined) return asker;
  throw matrixError('M_MISSING_TOKEN', 'What other servers have is for those with an access token');
};
