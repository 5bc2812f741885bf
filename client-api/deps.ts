/**
 * What the routes of this API are built from. Each takes the few it uses: `Pick<ClientApiDeps, …>`.
 */
import type { Accounts } from '../homeserver/accounts/accounts.ts';
import type { OpenIdTokens } from '../homeserver/accounts/openid-tokens.ts';
import type { TurnPolicy } from '../homeserver/accounts/turn-credentials.ts';
import type { Clock } from '../homeserver/clock.ts';
import type { Discovery } from '../homeserver/discovery/create-discovery.ts';
import type { Encryption } from '../homeserver/encryption/create-encryption.ts';
import type { Notifications } from '../homeserver/push/notifications.ts';
import type { PushRules } from '../homeserver/push/push-rules.ts';
import type { ClientEvents } from '../homeserver/rooms/client-events.ts';
import type { EventStore } from '../homeserver/rooms/event-store.ts';
import type { History } from '../homeserver/rooms/history.ts';
import type { RoomRegistry } from '../homeserver/rooms/room-registry.ts';
import type { RoomServices } from '../homeserver/rooms/room-services.ts';
import type { Database } from '../homeserver/storage/database.ts';
import type { AccountData } from '../homeserver/streams/account-data.ts';
import type { Log } from '../homeserver/streams/log.ts';
import type { Presence } from '../homeserver/streams/presence.ts';
import type { Receipts } from '../homeserver/streams/receipts.ts';
import type { Typing } from '../homeserver/streams/typing.ts';
import type { Sync } from '../homeserver/sync/sync.ts';
import type { ServerName } from '../spec/identifiers.ts';
import type { ClientAuth } from './auth.ts';
import type { WellKnown } from './well-known/well-known.ts';

export interface ClientApiDeps extends RoomServices, Omit<Discovery, 'close'> {
  readonly clock: Clock;
  readonly sync: Sync;
  readonly events: EventStore;
  readonly history: History;
  readonly registry: RoomRegistry;
  readonly clientEvents: ClientEvents;
  readonly serverName: ServerName;
  readonly auth: ClientAuth;
  readonly accounts: Accounts;
  readonly accountData: Pick<AccountData, 'get' | 'put' | 'update'>;
  readonly receipts: Receipts;
  readonly typing: Typing;
  readonly presence: Presence;
  readonly encryption: Encryption;
  readonly database: Database;
  readonly log: Pick<Log, 'position'>;
  readonly pushRules: PushRules;
  readonly notifications: Notifications;
  readonly openIdTokens: OpenIdTokens;
  /** Undefined: this server offers no TURN server. */
  readonly turn: TurnPolicy | undefined;
  readonly wellKnown: WellKnown;
  /** Of rooms whose creator asks for no version. */
  readonly defaultRoomVersion: string;
}
