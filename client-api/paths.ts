/** Where operations are served. */

/** The prefixes under which clients still look for what a version of the API has. */
const PREFIXES = {
  v3: ['/_matrix/client/v3', '/_matrix/client/r0'],
  v1: ['/_matrix/client/v1'],
} as const;

/** `clientPaths('v3', '/login')`: the specification's path first, then older ones. */
export const clientPaths = (version: keyof typeof PREFIXES, path: string): string[] =>
  PREFIXES[version].map((prefix) => `${prefix}${path}`);
