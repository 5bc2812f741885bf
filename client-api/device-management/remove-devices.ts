/** Deleting devices, one or many, after their owner has confirmed it. */
import type { Accounts } from '../../homeserver/accounts/accounts.ts';
import type { Requester } from '../../homeserver/accounts/requester.ts';
import type { Reply } from '../../homeserver/http/reply.ts';
import type { JsonObject } from '../../spec/event.ts';
import type { DeviceId } from '../../spec/identifiers.ts';
import { interactively } from '../interactive.ts';

interface Asking {
  readonly requester: Requester;
  readonly ip: string;
}

/** Application services need not confirm. */
export const removeDevices = async (
  accounts: Accounts,
  operation: string,
  { requester: { userId, appserviceId }, ip }: Asking,
  deviceIds: DeviceId[],
  auth: JsonObject | undefined,
): Promise<Record<string, never> | Reply> => {
  if (appserviceId !== undefined) {
    await accounts.devices.delete(userId, deviceIds, undefined);
    return {};
  }
  const flows = await accounts.credentials.reauthenticationFlows(userId);
  return interactively(
    accounts.interactiveAuth,
    { operation, userId, ip, flows, auth, boundTo: deviceIds },
    async (passed) => {
      await accounts.devices.delete(userId, deviceIds, passed);
      return {};
    },
  );
};
