/** https://spec.matrix.org/v1.19/application-service-api/#timestamp-massaging */
import { type Static, Type } from 'typebox';
import type { Requester } from '../../../homeserver/accounts/requester.ts';

export const TimestampQuery = Type.Object({
  ts: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
});

/** When an event was made, where an application service says so; nobody else may. */
export const timestampOf = (
  { appserviceId }: Requester,
  { ts }: Static<typeof TimestampQuery>,
): number | undefined => (appserviceId === undefined ? undefined : ts);
