/**
 * Server access control lists of rooms.
 *
 * Specification: https://spec.matrix.org/v1.19/client-server-api/#server-access-control-lists-acls-for-rooms
 */
import type { JsonObject } from './event.ts';
import { compileGlob, type Glob, matchesWhole } from './glob.ts';
import { parseServerName, type ServerName } from './identifiers.ts';

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
  const allow = globsIn(content['allow']);
  const deny = globsIn(content['deny']);
  const allowsIpLiterals = content['allow_ip_literals'] !== false;
  return {
    allows: (server) => {
      const { host, isIpLiteral } = hostOf(server);
      // 2. If the server name is an IP address (v4 or v6) literal, and allow_ip_literals is present
      //    and false, deny.
      if (isIpLiteral && !allowsIpLiterals) return false;
      // 3. If the server name matches an entry in the deny list, deny.
      if (deny.some((glob) => matchesWhole(glob, host))) return false;
      // 4. If the server name matches an entry in the allow list, allow.
      // 5. Otherwise, deny.
      return allow.some((glob) => matchesWhole(glob, host));
    },
  };
};

const globsIn = (list: unknown): Glob[] =>
  (Array.isArray(list) ? list : []).flatMap((entry: unknown) =>
    typeof entry === 'string' ? [compileGlob(entry.toLowerCase())] : [],
  );

/** Without the port; an IPv6 literal keeps its brackets, as in the server name. */
const hostOf = (server: ServerName): { host: string; isIpLiteral: boolean } => {
  const address = parseServerName(server);
  // Nothing with such a name can be reached; it is judged by its text.
  if (address === undefined) return { host: server.toLowerCase(), isIpLiteral: false };
  const host = address.kind === 'ipv6' ? `[${address.host}]` : address.host;
  return { host: host.toLowerCase(), isIpLiteral: address.kind !== 'dns' };
};
