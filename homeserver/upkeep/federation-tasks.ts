/** What is kept of other servers, and for them. */
import { pastServerStays, unmetDestinations } from '../storage/destinations.ts';
import { strayInboundPdus } from '../storage/inbound-pdus.ts';
import {
  settledEduDestinations,
  settledEdus,
  trimEdusOfTheFailing,
} from '../storage/outbound-edus.ts';
import { unmetServerKeys, unusedKeyDocuments } from '../storage/remote-keys.ts';
import { DAY_MS, MINUTE_MS, type UpkeepTask, walking } from './upkeep-task.ts';

/**
 * For a server that is away. When it is back it fetches device lists anew, since it misses changes;
 * what was sent to its devices is of use to few after so long.
 */
const EDUS_KEPT_MS = 30 * DAY_MS;
const MAX_EDUS_OF_THE_FAILING = 10_000;

export const federationTasks: readonly UpkeepTask[] = [
  {
    name: 'EDUs of failing servers',
    tables: ['outbound_edu_destinations'],
    everyMs: 10 * MINUTE_MS,
    maxRows: 500,
    step: (tx, { limit, after }) => trimEdusOfTheFailing(tx, MAX_EDUS_OF_THE_FAILING, limit, after),
  },
  walking(
    { name: 'EDU destinations', everyMs: 10 * MINUTE_MS, olderThanMs: EDUS_KEPT_MS },
    settledEduDestinations,
  ),
  walking({ name: 'EDUs', everyMs: 10 * MINUTE_MS }, settledEdus),
  walking({ name: 'destinations', everyMs: DAY_MS, olderThanMs: 90 * DAY_MS }, unmetDestinations),
  walking({ name: 'server stays', everyMs: DAY_MS, olderThanMs: 30 * DAY_MS }, pastServerStays),
  walking({ name: 'server keys', everyMs: DAY_MS, olderThanMs: 30 * DAY_MS }, unmetServerKeys),
  walking({ name: 'server key documents', everyMs: DAY_MS }, unusedKeyDocuments),
  walking({ name: 'stray PDUs', everyMs: DAY_MS, olderThanMs: 7 * DAY_MS }, strayInboundPdus),
];
