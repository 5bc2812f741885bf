/**
 * How to run Synapse beside Parley, from a Python that has `matrix-synapse`
 * installed. Used to show that the two share rooms, and to try this suite
 * against another implementation.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './repository.ts';
import type { Recipe, Site } from './server.ts';

/** The Python to use, or `undefined` where none is named. */
export function synapsePython(): string | undefined {
  return process.env['PARLEY_SYNAPSE_PYTHON'];
}

export type FoundSynapse =
  | { readonly python: string; readonly version: string }
  /** Why there is none. */
  | { readonly missing: string };

const VERSION = 'from importlib.metadata import version; print(version("matrix-synapse"))';

/**
 * Looks for a Python with Synapse: the one `PARLEY_SYNAPSE_PYTHON` names and no other, otherwise that
 * of the virtual environment `.venv-synapse` beside `package.json`, otherwise `python3`.
 */
export function findSynapse(): FoundSynapse {
  const named = synapsePython();
  const ours = join(repositoryRoot(), '.venv-synapse/bin/python');
  const candidates = named === undefined ? [ours, 'python3'] : [named];
  for (const python of candidates) {
    if (python.includes('/') && !existsSync(python)) continue;
    try {
      const stdio = ['ignore', 'pipe', 'ignore'] as const;
      const version = execFileSync(python, ['-c', VERSION], {
        stdio: [...stdio],
        encoding: 'utf8',
      });
      return { python, version: version.trim() };
    } catch {
      // Not this one.
    }
  }
  const where = named ?? 'PARLEY_SYNAPSE_PYTHON, .venv-synapse or python3';
  return { missing: `no Python with matrix-synapse (${where})` };
}

/** @param changes in place of the settings of the same name */
export function synapse(python: string, changes: object = {}): Recipe {
  return {
    readyPath: '/_matrix/client/versions',
    prepare(site) {
      const configFile = join(site.dir, 'homeserver.yaml');
      writeFileSync(configFile, JSON.stringify({ ...settingsFor(site), ...changes }, undefined, 2));
      const args = ['-m', 'synapse.app.homeserver', '-c', configFile];
      execFileSync(python, [...args, '--generate-missing-configs'], {
        cwd: site.dir,
        stdio: 'ignore',
      });
      return { program: python, args, env: {} };
    },
  };
}

const NO_LIMIT = { per_second: 10_000, burst_count: 10_000 };

function settingsFor(site: Site): object {
  const resources = [{ names: ['client', 'federation'] }];
  return {
    server_name: site.serverName,
    public_baseurl: `http://127.0.0.1:${site.clientPort}/`,
    pid_file: join(site.dir, 'pid'),
    signing_key_path: join(site.dir, 'signing.key'),
    media_store_path: join(site.dir, 'media'),
    database: { name: 'sqlite3', args: { database: join(site.dir, 'homeserver.db') } },
    listeners: [
      { port: site.clientPort, type: 'http', bind_addresses: ['127.0.0.1'], resources },
      { port: site.tlsPort, type: 'http', tls: true, bind_addresses: ['127.0.0.1'], resources },
    ],
    tls_certificate_path: site.certFile,
    tls_private_key_path: site.keyFile,
    federation_custom_ca_list: [site.trustedCaFile],
    ip_range_blacklist: [],
    federation_ip_range_blacklist: [],
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    report_stats: false,
    macaroon_secret_key: 'for tests',
    form_secret: 'for tests',
    registration_shared_secret: 'a shared secret',
    enable_registration: true,
    enable_registration_without_verification: true,
    allow_public_rooms_over_federation: true,
    allow_public_rooms_without_auth: true,
    room_list_publication_rules: [{ action: 'allow' }],
    bcrypt_rounds: 4,
    default_room_version: '12',
    rc_message: NO_LIMIT,
    rc_registration: NO_LIMIT,
    rc_login: { address: NO_LIMIT, account: NO_LIMIT, failed_attempts: NO_LIMIT },
    rc_joins: { local: NO_LIMIT, remote: NO_LIMIT },
    rc_joins_per_room: NO_LIMIT,
    rc_invites: { per_room: NO_LIMIT, per_user: NO_LIMIT, per_issuer: NO_LIMIT },
    rc_room_creation: NO_LIMIT,
    rc_presence: { per_user: NO_LIMIT },
    // An outage in a test lasts seconds: what was away is soon tried again.
    federation: {
      destination_min_retry_interval: 500,
      destination_retry_multiplier: 1,
      destination_max_retry_interval: 500,
      max_short_retry_delay: 200,
      max_long_retry_delay: 500,
    },
    rc_federation: {
      window_size: 1000,
      sleep_limit: 10_000,
      reject_limit: 10_000,
      concurrent: 100,
    },
  };
}
