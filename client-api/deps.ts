/**
 * What the routes of this API are built from. Each takes the few it uses: `Pick<ClientApiDeps, …>`.
 */
import type { Accounts } from '../homeserver/accounts/accounts.ts';
import type { AccountData } from '../homeserver/streams/account-data.ts';
import type { ServerName } from '../spec/identifiers.ts';
import type { ClientAuth } from './auth.ts';
import type { WellKnown } from './well-known/well-known.ts';

export interface ClientApiDeps {
  readonly serverName: ServerName;
  readonly auth: ClientAuth;
  readonly accounts: Accounts;
  readonly accountData: Pick<AccountData, 'get' | 'put'>;
  readonly wellKnown: WellKnown;
  /** Of rooms whose creator asks for no version. */
  readonly defaultRoomVersion: string;
}
