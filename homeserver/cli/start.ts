/** `parley start`: runs the server until a signal, and tells a person how to reach it. */
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { type ChildPlace, childPlace, endWithParent, tellParent } from '../child-place.ts';
import { processCount, startChildren } from '../child-processes.ts';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { watchForBugs } from '../ops/bug-watch.ts';
import { limitHeapGrowth } from '../ops/heap-growth.ts';
import type { Logger } from '../ops/logger.ts';
import type { RunningServer } from '../ops/running-server.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { type Command, configFile, configFor, loggerFor, print } from './command.ts';
import { version } from './version.ts';

const whereDataLies = ({ database, data_dir }: Config): string =>
  database.url === null ? data_dir : `${data_dir}, and the database at database.url`;

/** A command as it is typed where this program was started: installed, or in a checkout. */
const asTyped = (command: string): string =>
  basename(process.argv[1] ?? '') === 'parley'
    ? `parley ${command}`
    : `npm run -s parley -- ${command}`;

/** For a person at a terminal. `fresh` until the first account is made. */
export const welcome = (
  config: Config,
  server: Pick<RunningServer, 'baseUrl' | 'registrationToken'>,
  file: string | undefined,
): string => {
  const facts: [string, string][] = [
    ['address', server.baseUrl],
    ['server name', config.server_name],
    ['data', whereDataLies(config)],
    ['configuration', file ?? 'the defaults (config.sample.yaml lists every key)'],
  ];
  const { registrationToken: token } = server;
  if (token !== undefined) facts.push(['registration token', `${token} (for one account)`]);
  const lines = facts.map(([name, value]) => `  ${name.padEnd(18)}  ${value}`);
  const next =
    token === undefined
      ? []
      : [
          '',
          `Next: in a Matrix client, choose the homeserver ${server.baseUrl} and register with this`,
          'token. The first account is an administrator. More tokens:',
          `"${asTyped('registration-token')}"`,
        ];
  return ['', `Parley ${version()} is running. Ctrl-C stops it.`, '', ...lines, ...next, ''].join(
    '\n',
  );
};

const announce = (
  config: Config,
  server: RunningServer,
  file: string | undefined,
  logger: Logger,
): void => {
  const { baseUrl, registrationToken } = server;
  const shownToPerson = config.log.format === 'pretty' || process.stdout.isTTY;
  if (shownToPerson || registrationToken !== undefined) print(welcome(config, server, file));
  logger.info({ address: baseUrl, serverName: config.server_name }, 'the server is running');
};

const stopSignals = ['SIGINT', 'SIGTERM'] as const;

/**
 * Resolves at the first signal. From then on a second one ends the process at once. A child stops when
 * its parent says so: a terminal's Ctrl-C reaches both.
 */
const firstSignal = (logger: Logger, isChild: boolean): Promise<void> =>
  new Promise((resolve) => {
    if (isChild) {
      for (const name of ['SIGINT', 'SIGHUP']) process.on(name, () => undefined);
      process.on('SIGTERM', () => resolve());
      return;
    }
    let stopping = false;
    const onSignal = (name: NodeJS.Signals) => {
      if (stopping) {
        logger.warn({ signal: name }, 'stopping at once; unfinished requests are lost');
        // The database's watchdog sees us go and stops it in order.
        process.exit(130);
      }
      stopping = true;
      logger.info({ signal: name }, 'stopping; a second signal stops at once');
      resolve();
    };
    for (const name of stopSignals) process.on(name, onSignal);
  });

/** A terminal that is closed is another thing: there, the signal ends the server as ever. */
const renewAtHangUp = ({ renew }: RunningServer, logger: Logger): void => {
  if (renew === undefined || process.stdin.isTTY) return;
  let renewing = Promise.resolve();
  process.on('SIGHUP', () => {
    logger.info('starting every process anew, one after the other');
    renewing = renewing.then(renew);
  });
};

/** What tells its logs from those of the others; nothing where there is one process. */
const processName = (config: Config, place: ChildPlace | undefined): string | undefined => {
  if (place !== undefined) return String(place.number);
  if (processCount(config) > 1) return 'parent';
  return config.cluster.port === null ? undefined : hostname();
};

const start = async (
  config: Config,
  logger: Logger,
  place: ChildPlace | undefined,
): Promise<RunningServer> => {
  if (place === undefined && processCount(config) > 1) return startChildren(config, logger);
  // Not loaded by a process that only looks after others.
  const { startServer } = await import('../main.ts');
  try {
    return await startServer(config, logger, place);
  } catch (error) {
    if (error instanceof StartFailure) {
      tellParent({ failure: { message: error.message, kind: error.kind } });
    }
    throw error;
  }
};

export const startCommand: Command = {
  name: 'start',
  summary: 'runs the server',
  async run(options) {
    limitHeapGrowth();
    const file = configFile(options);
    const config = configFor(options);
    const place = childPlace();
    if (place !== undefined) endWithParent(place);
    const logger = loggerFor(config, processName(config, place));
    const signalled = firstSignal(logger, place !== undefined).then(() => 0);
    const bugs = watchForBugs({ logger, clock: systemClock, source: process });
    const server = await start(config, logger, place);
    if (place === undefined) {
      announce(config, server, file, logger);
      renewAtHangUp(server, logger);
    } else {
      const { baseUrl, registrationToken } = server;
      tellParent({ running: { baseUrl, registrationToken } });
    }
    const failed = server.failed.then((error) => {
      logger.fatal({ reason: error.message }, 'stopping');
      return error instanceof StartFailure ? error.exitCode : 1;
    });
    const code = await Promise.race([signalled, failed, bugs.then(() => 1)]);
    await server.stop();
    logger.info('stopped');
    return code;
  },
};
