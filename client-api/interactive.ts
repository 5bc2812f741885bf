/** Routes that ask for User-Interactive Authentication. */
import { Type } from 'typebox';
import type {
  InteractiveAuth,
  PassedUia,
  UiaCall,
} from '../homeserver/accounts/interactive-auth.ts';
import { type Reply, reply } from '../homeserver/http/reply.ts';
import type { JsonObject, JsonValue } from '../spec/event.ts';

/** https://spec.matrix.org/v1.19/client-server-api/#user-interactive-api-in-the-rest-api */
export const AuthData = Type.Unsafe<JsonObject>(
  Type.Object({
    type: Type.Optional(Type.String()),
    session: Type.Optional(Type.String()),
  }),
);

/**
 * Makes the call once its user has passed; until then answers 401 with what is left to do.
 * `repeated` answers a request whose call has been made, where the call keeps a result.
 */
export const interactively = async <T>(
  interactiveAuth: InteractiveAuth,
  uia: UiaCall,
  call: (passed: PassedUia) => Promise<T>,
  repeated?: (result: JsonValue) => Promise<T>,
): Promise<T | Reply> => {
  const outcome = await interactiveAuth.advance(uia);
  switch (outcome.kind) {
    case 'challenge':
      return reply({ status: 401, body: outcome.body });
    case 'passed':
      return call(outcome.passed);
    case 'repeated':
      if (repeated === undefined) throw new Error(`${uia.operation} keeps no results`);
      return repeated(outcome.result);
  }
};
