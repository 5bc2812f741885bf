/**
 * Server access control lists of rooms.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms
 */
import type { JsonObject } from './event.ts';
import { compileGlob, matchesWhole } from './glob.ts';
import type { ServerName } from './identifiers.ts';
import { denialsOf, isDenied, serverHostOf } from './server-hosts.ts';

export interface ServerAcl {
  /** Whether a server may take part in the room. */
  allows(server: ServerName): boolean;
}

export const EVERYONE_ALLOWED: ServerAcl = { allows: () => true };

/**
 * The list in the content of an `m.room.server_acl` event (`undefined`: the room has none). Entries
 * that are not strings are ignored; a list that is not one is empty, so that it allows nobody.
 */
export const serverAclOf = (content: JsonObject | undefined): ServerAcl => {
  // 1. If there is no m.room.server_acl event in the room state, allow.
  if (content === undefined) return EVERYONE_ALLOWED;
  const allow = textsIn(content['allow']).map((pattern) => compileGlob(pattern.toLowerCase()));
  const deny = denialsOf(textsIn(content['deny']));
  const allowsIpLiterals = content['allow_ip_literals'] !== false;
  return {
    allows: (server) => {
      const host = serverHostOf(server);
      // 2. If the server name is an IP address (v4 or v6) literal, and allow_ip_literals is present
      //    and false, deny.
      if (host.isIpLiteral && !allowsIpLiterals) return false;
      // 3. If the server name matches an entry in the deny list, deny.
      if (isDenied(deny, host)) return false;
      // 4. If the server name matches an entry in the allow list, allow.
      // 5. Otherwise, deny.
      return allow.some((glob) => matchesWhole(glob, host.host));
    },
  };
};

const textsIn = (list: unknown): string[] =>
  (Array.isArray(list) ? list : []).filter((entry: unknown) => typeof entry === 'string');
