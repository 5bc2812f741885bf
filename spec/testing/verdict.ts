/** What authorisation says of an event, in a form that fits the tables of tests. */
import type { AuthInput } from '../auth/auth-context.ts';
import { rejectionOf } from '../auth/authorise-event.ts';
import type { MatrixEvent } from '../event.ts';
import type { RoomVersionRules } from '../room-versions.ts';

/** `allow`, or the number of the rule that rejects the event. */
export const verdict = (event: MatrixEvent, rules: RoomVersionRules, input: AuthInput): string =>
  rejectionOf(event, rules, input)?.rule ?? 'allow';
