/** From the listeners of the configuration to those the HTTP kit opens: one address each. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Listener as HttpListener } from '../http/server.ts';
import { StartFailure } from '../ops/start-failure.ts';
import type { Config, Listener } from './schema.ts';

const readPem = (file: string, key: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new StartFailure(
      'config',
      `${key} names ${file}, which cannot be read (${(error as NodeJS.ErrnoException).code}). Give ` +
        'the file to the user the server runs as, or correct the name.',
      { cause: error },
    );
  }
};

/** Containers often have no IPv6 at all; the defaults name it and must work there. */
export const systemHasIpv6 = (): boolean =>
  Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ family }) => family === 'IPv6'),
  );

/** The addresses that can be opened side by side. */
export const openableAddresses = (bind: readonly string[], hasIpv6: boolean): string[] => {
  const usable = bind.filter((address) => hasIpv6 || (address !== '::1' && address !== '::'));
  // "::" takes IPv4 as well, and a second socket for it would be refused.
  return usable.filter((address) => !(address === '0.0.0.0' && usable.includes('::')));
};

const expand = (listener: Listener, index: number, hasIpv6: boolean): HttpListener[] => {
  const { port, bind, tls, resources } = listener;
  const at = `listeners[${index}].tls`;
  const pem =
    tls === null
      ? undefined
      : { cert: readPem(tls.cert, `${at}.cert`), key: readPem(tls.key, `${at}.key`) };
  return openableAddresses(bind, hasIpv6).map((address) => ({
    port,
    bind: address,
    tls: pem,
    resources,
  }));
};

/** In the order of the configuration. Reads the certificates; throws a `StartFailure` if it cannot. */
export const httpListeners = (config: Config): HttpListener[] => {
  const hasIpv6 = systemHasIpv6();
  return config.listeners.flatMap((listener, index) => expand(listener, index, hasIpv6));
};
