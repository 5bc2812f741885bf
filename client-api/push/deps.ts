/** What the routes of push rules and notifications work with. */
import type { Requester } from '../../homeserver/accounts/requester.ts';
import type { Auth } from '../../homeserver/http/route.ts';
import type { PushRules } from '../../homeserver/push/push-rules.ts';

export interface PushRulesRouteDeps {
  readonly auth: { readonly user: Auth<Requester> };
  readonly pushRules: PushRules;
}
