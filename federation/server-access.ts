/** Which servers the operator lets this one speak with. */
import { compileGlob, matchesWhole } from '../spec/glob.ts';
import type { ServerName } from '../spec/identifiers.ts';
import { denialsOf, isDenied, serverHostOf } from '../spec/server-hosts.ts';

export interface AccessLists {
  readonly enabled: boolean;
  /** Patterns with `*` and `?`; `null` is every server. */
  readonly allowed_servers: readonly string[] | null;
  /** Prevails over `allowed_servers`. */
  readonly denied_servers: readonly string[];
}

/**
 * A denial is about the machine, however its name is spelled and whatever its port; a pattern with a
 * port is about that one. What is allowed is so under the name that is written. Upper and lower case
 * are the same.
 */
export const serverAccess = (lists: AccessLists): ((serverName: ServerName) => boolean) => {
  const allowed = lists.allowed_servers?.map((pattern) => compileGlob(pattern.toLowerCase()));
  const denied = denialsOf(lists.denied_servers);
  return (serverName) => {
    if (!lists.enabled) return false;
    const name = serverName.toLowerCase();
    const host = serverHostOf(serverName);
    if (isDenied(denied, { ...host, aliases: [...host.aliases, name] })) return false;
    return allowed === undefined || allowed.some((glob) => matchesWhole(glob, name));
  };
};
