/** Every migration, in the order they are applied. Names sort in that same order. */
import type { Migration } from '../migration.ts';
import * as core from './0001-core.ts';
import { accountsMigration } from './0002-accounts.ts';
import { federationMigration } from './0003-federation.ts';
import { inboundMigration } from './0004-inbound.ts';
import { pushMigration } from './0005-push.ts';
import { reportsMigration } from './0006-reports.ts';
import { discoveryMigration } from './0007-discovery.ts';
import { encryptionMigration } from './0008-encryption.ts';
import { transactionsMigration } from './0011-transactions.ts';
import { newestRowsMigration } from './0012-newest-rows.ts';
import { readingMigration } from './0013-reading.ts';
import { accessMigration } from './0014-access.ts';
import { destinationsMigration } from './0016-destinations.ts';
import { outsideRoomsMigration } from './0017-outside-rooms.ts';
import { clientLimitsMigration } from './0018-client-limits.ts';
import { closedReportsMigration } from './0019-closed-reports.ts';
import { growthMigration } from './0020-growth.ts';
import { storedBytesMigration } from './0022-stored-bytes.ts';
import { roomStatesMigration } from './0023-room-states.ts';
import { abandonedRoomsMigration } from './0024-abandoned-rooms.ts';
import { clusterMigration } from './0025-cluster.ts';
import { presenceMigration } from './0026-presence.ts';
import { ephemeraMigration } from './0027-ephemera.ts';

export const migrations: readonly Migration[] = [
  { name: '0001-core', up: core.up },
  accountsMigration,
  federationMigration,
  inboundMigration,
  pushMigration,
  reportsMigration,
  discoveryMigration,
  encryptionMigration,
  transactionsMigration,
  newestRowsMigration,
  readingMigration,
  accessMigration,
  destinationsMigration,
  outsideRoomsMigration,
  clientLimitsMigration,
  closedReportsMigration,
  growthMigration,
  storedBytesMigration,
  roomStatesMigration,
  abandonedRoomsMigration,
  clusterMigration,
  presenceMigration,
  ephemeraMigration,
];
