/** Values that follow from others unless the configuration states them. */
import { join } from 'node:path';
import type { PasswordPolicy } from '../accounts/passwords.ts';
import type { Config } from './schema.ts';

/**
 * Where clients reach the server, without a slash at the end. `port` is the port really opened,
 * where the configuration leaves the choice to the system.
 */
export const publicBaseUrl = (config: Config, port?: number): string => {
  if (config.public_base_url !== null) return config.public_base_url.replace(/\/+$/, '');
  if (config.server_name !== 'localhost') return `https://${config.server_name}`;
  const listener = config.listeners.find(({ resources }) => resources.includes('client'));
  const scheme = listener?.tls == null ? 'http' : 'https';
  return `${scheme}://localhost:${port ?? listener?.port ?? 8008}`;
};

export const signingKeyFile = (config: Config): string =>
  config.federation.signing_key_file ?? join(config.data_dir, 'signing.key');

export const mediaFolder = (config: Config): string =>
  config.media.path ?? join(config.data_dir, 'media');

export const passwordPolicy = ({ accounts }: Config): PasswordPolicy => ({
  minLength: accounts.password_min_length,
  hashMemoryKib: accounts.password_hash_memory_kib,
  hashPasses: accounts.password_hash_passes,
});
