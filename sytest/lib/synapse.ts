/**
 * How to run Synapse beside Parley, from a Python that has `matrix-synapse`
 * installed: `PARLEY_SYNAPSE_PYTHON=/path/to/bin/python`. Used to show that the
 * two share rooms, and to try this suite against another implementation.
 */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Recipe, Site } from './server.ts';

/** The Python to use, or `undefined` where Synapse is not installed. */
export function synapsePython(): string | undefined {
  return process.env['PARLEY_SYNAPSE_PYTHON'];
}

export function synapse(python: string): Recipe {
  return {
    readyPath: '/_matrix/client/versions',
    prepare(site) {
      const configFile = join(site.dir, 'homeserver.yaml');
      writeFileSync(configFile, JSON.stringify(settingsFor(site), undefined, 2));
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
    bcrypt_rounds: 4,
    default_room_version: '12',
    rc_message: NO_LIMIT,
    rc_registration: NO_LIMIT,
    rc_login: { address: NO_LIMIT, account: NO_LIMIT, failed_attempts: NO_LIMIT },
    rc_joins: { local: NO_LIMIT, remote: NO_LIMIT },
    rc_joins_per_room: NO_LIMIT,
    rc_invites: { per_room: NO_LIMIT, per_user: NO_LIMIT, per_issuer: NO_LIMIT },
    rc_room_creation: NO_LIMIT,
    rc_federation: {
      window_size: 1000,
      sleep_limit: 10_000,
      reject_limit: 10_000,
      concurrent: 100,
    },
  };
}
