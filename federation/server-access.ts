/** Which servers the operator lets this one speak with. */
import { compileGlob, matchesWhole } from '../spec/glob.ts';
import type { ServerName } from '../spec/identifiers.ts';

export interface AccessLists {
  readonly enabled: boolean;
  /** Patterns with `*` and `?`; `null` is every server. */
  readonly allowed_servers: readonly string[] | null;
  /** Prevails over `allowed_servers`. */
  readonly denied_servers: readonly string[];
}

/** Upper and lower case are the same here: a denial is about the machine, not the spelling. */
export const serverAccess = (lists: AccessLists): ((serverName: ServerName) => boolean) => {
  const compile = (patterns: readonly string[]) =>
    patterns.map((pattern) => compileGlob(pattern.toLowerCase()));
  const allowed = lists.allowed_servers === null ? undefined : compile(lists.allowed_servers);
  const denied = compile(lists.denied_servers);
  return (serverName) => {
    if (!lists.enabled) return false;
    const name = serverName.toLowerCase();
    if (denied.some((glob) => matchesWhole(glob, name))) return false;
    return allowed === undefined || allowed.some((glob) => matchesWhole(glob, name));
  };
};
