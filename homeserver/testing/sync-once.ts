/** One sync that does not wait, as a test of the core asks for it. */
import { compileFilter } from '../../spec/filter.ts';
import type { UserId } from '../../spec/identifiers.ts';
import type { Core } from '../core.ts';
import { createSync } from '../sync/create-sync.ts';
import { parseSyncToken } from '../sync/tokens.ts';

/** The answer as JSON. */
export const syncOnce = async (core: Core, userId: UserId, since?: string) =>
  JSON.parse(
    await createSync(core).sync({
      userId,
      deviceId: undefined,
      filter: compileFilter({}),
      since: since === undefined ? undefined : parseSyncToken(since),
      fullState: false,
      useStateAfter: false,
      timeoutMs: 0,
    }),
  );
