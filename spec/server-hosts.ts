/**
 * Which machine a server name means, however it is spelled: for lists that keep servers out. Names
 * are otherwise compared as they are written.
 */
import { compileGlob, type Glob, matchesWhole } from './glob.ts';
import { parseServerName, type ServerName } from './identifiers.ts';

export interface ServerHost {
  /** As written but for upper case, without the port; an IPv6 literal has its brackets. */
  readonly host: string;
  /** Other spellings under which a list may know the same host; none for most. */
  readonly aliases: readonly string[];
  /** Also for numbers that resolvers read as addresses, such as `0x7f.1`. */
  readonly isIpLiteral: boolean;
}

const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
/** A host without a port. */
const HOST = /^(?:[0-9a-z.-]+|\[[0-9a-f:.]+\])$/;
/** An IPv4 address in IPv6, as URLs write it. */
const MAPPED_IPV4 = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;

/**
 * A host as URLs write it: addresses have one form there, and numbers that are addresses are written
 * as such. A dot at the end, which only says that a name is complete, is left out.
 */
const inUrlForm = (host: string): string => {
  const bare = host.replace(/\.+$/, '');
  if (!HOST.test(bare)) return bare;
  try {
    return new URL(`http://${bare}/`).hostname;
  } catch {
    return bare;
  }
};

const ipv4In = (mapped: string): string | undefined => {
  const [, high, low] = MAPPED_IPV4.exec(mapped) ?? [];
  if (high === undefined || low === undefined) return undefined;
  const bytes = [high, low].flatMap((group) => {
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
  return bytes.join('.');
};

export const serverHostOf = (server: ServerName): ServerHost => {
  const address = parseServerName(server);
  // Nothing with such a name can be reached; it is judged by its text.
  if (address === undefined) {
    return { host: server.toLowerCase(), aliases: [], isIpLiteral: false };
  }
  const host = (address.kind === 'ipv6' ? `[${address.host}]` : address.host).toLowerCase();
  const form = inUrlForm(host);
  const aliases = [form, ipv4In(form)].filter((alias) => alias !== undefined && alias !== host);
  return {
    host,
    aliases: aliases as string[],
    isIpLiteral: address.kind !== 'dns' || IPV4.test(form),
  };
};

/** Patterns of hosts that are kept out: each stands for every spelling of what it names. */
export const denialsOf = (patterns: readonly string[]): readonly Glob[] =>
  patterns.flatMap((pattern) => {
    const lower = pattern.toLowerCase();
    const form = /[*?]/.test(lower) ? lower.replace(/\.+$/, '') : inUrlForm(lower);
    return [...new Set([lower, form])].map((text) => compileGlob(text));
  });

/** Whether one of the patterns names the host, by any of its spellings. */
export const isDenied = (denials: readonly Glob[], { host, aliases }: ServerHost): boolean =>
  denials.some(
    (glob) => matchesWhole(glob, host) || aliases.some((alias) => matchesWhole(glob, alias)),
  );
