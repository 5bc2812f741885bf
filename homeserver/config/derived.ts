/** Values that follow from others unless the configuration states them. */

import { join } from 'node:path';
import type { PasswordPolicy } from '../accounts/passwords.ts';
import type { TurnPolicy } from '../accounts/turn-credentials.ts';
import type { ConnectionLimits } from '../http/connections.ts';
import type { Config } from './schema.ts';

/** Whether only this machine can reach the server by its name. */
export const isLocalOnly = ({ server_name }: Config): boolean =>
  /^localhost(:\d+)?$/.test(server_name);

/**
 * Where clients reach the server, without a slash at the end. `port` is the port really opened,
 * where the configuration leaves the choice to the system.
 */
export const publicBaseUrl = (config: Config, port?: number): string => {
  if (config.public_base_url !== null) return config.public_base_url.replace(/\/+$/, '');
  if (!isLocalOnly(config)) return `https://${config.server_name.replace(/:\d+$/, '')}`;
  const listener = config.listeners.find(({ resources }) => resources.includes('client'));
  const scheme = listener?.tls == null ? 'http' : 'https';
  return `${scheme}://localhost:${port ?? listener?.port ?? 8008}`;
};

export const signingKeyFile = (config: Config): string =>
  config.federation.signing_key_file ?? join(config.data_dir, 'signing.key');

export const mediaFolder = (config: Config): string =>
  config.media.path ?? join(config.data_dir, 'media');

export const registrationPolicy = ({ registration }: Config) => ({
  enabled: registration.enabled,
  requireToken: registration.require_token,
  allowGuests: registration.allow_guests,
  sharedSecret: registration.shared_secret ?? undefined,
});

export const passwordPolicy = ({ accounts }: Config): PasswordPolicy => ({
  minLength: accounts.password_min_length,
  hashMemoryKib: accounts.password_hash_memory_kib,
  hashPasses: accounts.password_hash_passes,
});

/** Undefined without a TURN server, or without the secret that makes passwords for it. */
export const turnPolicy = ({ voip }: Config): TurnPolicy | undefined =>
  voip.turn_uris.length === 0 || voip.turn_shared_secret === null
    ? undefined
    : {
        uris: voip.turn_uris,
        sharedSecret: voip.turn_shared_secret,
        lifetimeMs: voip.turn_lifetime_ms,
      };

/** A reverse proxy that nobody has named is most often on this machine. */
const THIS_MACHINE = ['127.0.0.0/8', '::1/128'];

export const connectionLimits = ({ limits, trusted_proxies }: Config): ConnectionLimits => ({
  maxConnections: limits.max_connections,
  maxConnectionsPerAddress: limits.max_connections_per_address,
  requestTimeoutMs: limits.request_timeout_ms,
  uncountedAddresses: [...THIS_MACHINE, ...trusted_proxies],
});
