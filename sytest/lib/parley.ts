/** How to run Parley under test: the built program, a configuration file, nothing else. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './repository.ts';
import type { Recipe, Site } from './server.ts';

type Settings = { readonly [key: string]: unknown };

/** PARLEY_SUITE_PROCESSES=3 runs the suite against servers of three processes each. */
const SUITE_PROCESSES = Number(process.env['PARLEY_SUITE_PROCESSES'] ?? 1);

/**
 * @param changes merged over the test configuration, section by section; a test
 *   names only what it is about
 * @param root the built checkout whose program is run
 */
export function parley(changes: Settings = {}, root = repositoryRoot()): Recipe {
  return {
    readyPath: '/health/ready',
    prepare(site) {
      const configFile = join(site.dir, 'config.yaml');
      // JSON is YAML too.
      writeFileSync(configFile, JSON.stringify(merge(settingsFor(site), changes), undefined, 2));
      return {
        program: process.execPath,
        args: [join(root, 'dist/homeserver/cli/parley.js'), 'start', '--config', configFile],
        env: {},
      };
    },
  };
}

function settingsFor(site: Site): Settings {
  return {
    server_name: site.serverName,
    public_base_url: `http://127.0.0.1:${site.clientPort}`,
    data_dir: join(site.dir, 'data'),
    listeners: [
      {
        port: site.clientPort,
        bind: ['127.0.0.1'],
        resources: ['client', 'media', 'health', 'metrics'],
      },
      {
        port: site.tlsPort,
        bind: ['127.0.0.1'],
        tls: { cert: site.certFile, key: site.keyFile },
        resources: ['client', 'federation', 'media'],
      },
    ],
    registration: { enabled: true, require_token: false, shared_secret: 'a shared secret' },
    accounts: { password_hash_memory_kib: 8, password_hash_passes: 1 },
    rate_limits: { enabled: false },
    federation: {
      enabled: true,
      trusted_ca_file: site.trustedCaFile,
      allow_private_addresses: true,
    },
    log: { level: 'info', format: 'json' },
    ...(SUITE_PROCESSES > 1 && { processes: SUITE_PROCESSES }),
  };
}

function merge(base: Settings, changes: Settings): Settings {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) {
    const old = base[key];
    merged[key] = isSection(old) && isSection(value) ? merge(old, value) : value;
  }
  return merged;
}

function isSection(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
