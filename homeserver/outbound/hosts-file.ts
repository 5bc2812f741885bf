/** Names the operator put into the system's hosts file, which DNS queries alone would miss. */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Clock } from '../clock.ts';

const RECHECK_AFTER_MS = 10_000;

/** Reads `address name [name...]` lines; a later line adds addresses to a name. */
export const parseHostsFile = (text: string): ReadonlyMap<string, readonly string[]> => {
  const names = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [address, ...aliases] = (line.split('#', 1)[0] ?? '').trim().split(/\s+/);
    if (address === undefined || isIP(address) === 0) continue;
    for (const alias of aliases) {
      const name = alias.toLowerCase();
      const known = names.get(name);
      if (known === undefined) names.set(name, [address]);
      else if (!known.includes(address)) known.push(address);
    }
  }
  return names;
};

export class HostsFile {
  readonly #path: string;
  readonly #clock: Clock;
  #names: ReadonlyMap<string, readonly string[]> = new Map();
  #modifiedMs = 0;
  #checkedAtMs = Number.NEGATIVE_INFINITY;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  /** Empty for a name that is not listed, and where there is no such file. */
  async addresses(hostname: string): Promise<readonly string[]> {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#checkedAtMs >= RECHECK_AFTER_MS) {
      this.#checkedAtMs = nowMs;
      const modifiedMs = statSync(this.#path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
      if (modifiedMs !== this.#modifiedMs) {
        this.#modifiedMs = modifiedMs;
        const text = await readFile(this.#path, 'utf8').catch(() => '');
        this.#names = parseHostsFile(text);
      }
    }
    return this.#names.get(hostname.toLowerCase()) ?? [];
  }
}
