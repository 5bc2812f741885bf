/**
 * The routes of end-to-end encryption: keys, cross-signing, messages between devices, key backups.
 * https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption
 */
import type { Route } from '../../homeserver/http/route.ts';
import type { ClientApiDeps } from '../deps.ts';
import { backupKeyRoutes } from '../key-backup/keys.ts';
import { backupVersionRoutes } from '../key-backup/versions.ts';
import { sendToDevice } from '../to-device/send-to-device.ts';
import { claimKeys } from './claim-keys.ts';
import { getKeysChanges } from './get-keys-changes.ts';
import { queryKeys } from './query-keys.ts';
import { uploadCrossSigningKeys } from './upload-cross-signing-keys.ts';
import { uploadCrossSigningSignatures } from './upload-cross-signing-signatures.ts';
import { uploadKeys } from './upload-keys.ts';

export const encryptionRoutes = (
  deps: Pick<ClientApiDeps, 'auth' | 'accounts' | 'encryption' | 'log' | 'database'>,
): Route[] => [
  uploadKeys(deps),
  queryKeys(deps),
  claimKeys(deps),
  getKeysChanges(deps),
  uploadCrossSigningKeys(deps),
  uploadCrossSigningSignatures(deps),
  sendToDevice(deps),
  ...backupVersionRoutes(deps),
  ...backupKeyRoutes(deps),
];
