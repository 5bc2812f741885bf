/** The doctor's look at ports, the clock, and what the world sees at the server's name. */
import { createServer } from 'node:net';
import { isLocalOnly, publicBaseUrl } from '../config/derived.ts';
import { openableAddresses, systemHasIpv6 } from '../config/listeners.ts';
import type { Config } from '../config/schema.ts';
import { explainFailure } from '../ops/explain-failure.ts';
import { dataFolderHolder } from '../storage/data-folder-lock.ts';
import { bad, type Finding, good, remark } from './finding.ts';

const timeoutMs = 5_000;
const toleratedSkewMs = 10_000;

const tryPort = (port: number, address: string): Promise<Error | undefined> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen(port, address, () => server.close(() => resolve(undefined)));
  });

export const checkPorts = async (config: Config): Promise<Finding[]> => {
  const holder = await dataFolderHolder(config.data_dir);
  const findings: Finding[] = [];
  for (const { port, bind, resources } of config.listeners) {
    const free: string[] = [];
    for (const address of openableAddresses(bind, systemHasIpv6())) {
      const error = await tryPort(port, address);
      if (error === undefined) {
        free.push(address);
      } else if (holder !== undefined && (error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
        findings.push(good(`${port} on ${address}: taken, as it should be while the server runs`));
      } else {
        findings.push(
          bad(`${port} on ${address}`, explainFailure(error)?.message ?? error.message),
        );
      }
    }
    if (free.length > 0) findings.push(good(`${port} on ${free.join(', ')}: free`));
    if (resources.includes('metrics') && bind.some((address) => !/^(127\.|::1$)/.test(address))) {
      findings.push(remark(`${port} serves metrics`, 'Keep it out of reach of strangers.'));
    }
  }
  return findings;
};

const isLoopback = (address: string): boolean => /^(127\.|::1$|localhost$)/.test(address);

/** Behind a proxy that is not trusted, everybody counts as one address. */
export const checkProxies = async (config: Config): Promise<Finding[]> => {
  if (config.trusted_proxies.length > 0) {
    return [good(`trusted: ${config.trusted_proxies.join(', ')}`)];
  }
  const forPeople = config.listeners.filter(({ resources }) => resources.includes('client'));
  const needsProxy =
    !isLocalOnly(config) &&
    forPeople.every(({ bind, tls }) => tls === null && bind.every(isLoopback));
  return needsProxy
    ? [
        remark(
          'people reach this server only through a reverse proxy, and trusted_proxies is empty',
          'Name its address there (often [127.0.0.1, "::1"]), or all people share the limits of one.',
        ),
      ]
    : [good('none is trusted')];
};

interface Answer {
  readonly status: number;
  readonly body: string;
  /** From the `Date` header; `undefined` when absent. */
  readonly dateMs: number | undefined;
}

const get = async (url: string): Promise<Answer> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  const date = Date.parse(response.headers.get('date') ?? '');
  const body = (await response.text()).slice(0, 10_000);
  return { status: response.status, body, dateMs: Number.isNaN(date) ? undefined : date };
};

const reason = (error: unknown): string => {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message} (${cause.message})` : message;
};

/** Compares this clock with the clock of whatever answers at the public address. */
export const checkClock = async (config: Config): Promise<Finding[]> => {
  const now = new Date();
  const shown = now.toISOString();
  if (now.getUTCFullYear() < 2025) {
    return [bad(shown, 'That is in the past: set the clock, or install a time service.')];
  }
  if (isLocalOnly(config)) return [good(shown)];
  const answer = await get(publicBaseUrl(config)).catch(() => undefined);
  if (answer?.dateMs === undefined) return [good(`${shown} (nothing to compare it with)`)];
  const skewMs = Math.abs(answer.dateMs - Date.now());
  return [
    skewMs > toleratedSkewMs
      ? bad(
          `${shown} is ${Math.round(skewMs / 1_000)} s away from ${publicBaseUrl(config)}`,
          'Install a time service: signatures and tokens depend on the clock.',
        )
      : good(`${shown}, as at ${publicBaseUrl(config)}`),
  ];
};

const parseJson = (text: string): Record<string, unknown> => {
  try {
    return (JSON.parse(text) ?? {}) as Record<string, unknown>;
  } catch {
    return {};
  }
};

const checkClientWellKnown = async (config: Config): Promise<Finding> => {
  const url = `https://${config.server_name.replace(/:\d+$/, '')}/.well-known/matrix/client`;
  const expected = publicBaseUrl(config);
  const advice =
    `Serve {"m.homeserver":{"base_url":"${expected}"}} there (this server does, if the address ` +
    'leads to it); until then people must type the address of the server themselves.';
  try {
    const { status, body } = await get(url);
    const homeserver = parseJson(body)['m.homeserver'] as { base_url?: string } | undefined;
    if (status === 200 && homeserver?.base_url?.replace(/\/+$/, '') === expected) {
      return good(`${url} names ${expected}`);
    }
    return remark(`${url} answers ${status} ${JSON.stringify(homeserver ?? null)}`, advice);
  } catch (error) {
    return remark(`${url}: ${reason(error)}`, advice);
  }
};

const checkServerWellKnown = async (config: Config): Promise<Finding[]> => {
  const { server } = config.well_known;
  if (!config.federation.enabled || server === null) return [];
  const url = `https://${config.server_name.replace(/:\d+$/, '')}/.well-known/matrix/server`;
  const advice = `Serve {"m.server":"${server}"} there, or other servers look elsewhere.`;
  try {
    const { status, body } = await get(url);
    const found = parseJson(body)['m.server'];
    return status === 200 && found === server
      ? [good(`${url} names ${server}`)]
      : [bad(`${url} answers ${status} ${JSON.stringify(found ?? null)}`, advice)];
  } catch (error) {
    return [bad(`${url}: ${reason(error)}`, advice)];
  }
};

const checkReachable = async (config: Config): Promise<Finding> => {
  const url = `${publicBaseUrl(config)}/_matrix/client/versions`;
  try {
    const { status } = await get(url);
    return status === 200
      ? good(`${url} answers`)
      : bad(`${url} answers ${status}`, 'Is the server running, and does the address lead to it?');
  } catch (error) {
    return bad(
      `${url}: ${reason(error)}`,
      'Is the server running, does the name lead here, and is its certificate trusted?',
    );
  }
};

export const checkPublicAddress = async (config: Config): Promise<Finding[]> => {
  if (isLocalOnly(config)) {
    return [
      remark(
        `server_name is ${config.server_name}: only this machine can use it`,
        'Set server_name before people make accounts; it cannot be changed afterwards.',
      ),
    ];
  }
  return [
    await checkReachable(config),
    await checkClientWellKnown(config),
    ...(await checkServerWellKnown(config)),
  ];
};
