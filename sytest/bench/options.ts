/** The command line of the load program. */
import { parseArgs } from 'node:util';

export interface Options {
  /** Names of the scenarios to run; empty for all. */
  readonly only: readonly string[];
  /** Measured time of each timed scenario; warm-up comes on top. */
  readonly seconds: number;
  readonly json: boolean;
  readonly strict: boolean;
  readonly list: boolean;
  readonly help: boolean;
  /** A server that is already running; without it the built server is started. */
  readonly target: URL | undefined;
  readonly registrationSecret: string | undefined;
  /** The target's process, for the memory and processor figures. */
  readonly pid: number | undefined;
  readonly profile: boolean;
  /** Where the temporary data folder is made: the disk that is measured. */
  readonly workDir: string | undefined;
  readonly keep: boolean;
  /** Another built checkout, whose server does the same in turns with this one's. */
  readonly against: string | undefined;
  /** How often each of the two does a scenario. */
  readonly rounds: number;
  /** How many the measured server is; the one it is compared with is one. */
  readonly processes: number;
}

export const USAGE = `npm run bench -- [scenario...] [options]

  --only a,b                 the same as naming scenarios; --list names them
  --seconds N                measured time of each timed scenario (default 5)
  --json                     one JSON document on standard output, the lines on standard error
  --strict                   exit with 1 when a bar is missed or a scenario fails
  --target URL               measure a Matrix server that is already running
  --registration-secret S    register people through its shared secret
  --pid N                    the target's process id, for memory and processor time
  --against DIR              the server of another built checkout does every scenario too, in turns
  --rounds N                 how often each of the two does it (default 3)
  --processes N              the server is N processes; the one of --against stays one (default 1)
  --profile                  start our server with --cpu-prof and say where the profile lies
  --work-dir DIR             where temporary data goes: the disk that is measured
  --keep                     leave the temporary data and the server's log
`;

/** A mistake on the command line, for the person who typed it. */
export class UsageError extends Error {}

/** @throws UsageError */
export const parseOptions = (argv: readonly string[]): Options => {
  const { values, positionals } = parse(argv);
  if (values.against !== undefined && values.target !== undefined) {
    throw new UsageError('--against compares two checkouts, and --target is neither');
  }
  if (values.processes !== undefined && values.target !== undefined) {
    throw new UsageError('--processes is for a server started here, and --target is none');
  }
  const only = [...positionals, ...(values.only ?? [])]
    .flatMap((names) => names.split(','))
    .filter((name) => name !== '');
  return {
    only,
    seconds: positiveNumber('seconds', values.seconds ?? '5'),
    json: values.json ?? false,
    strict: values.strict ?? false,
    list: values.list ?? false,
    help: values.help ?? false,
    target: values.target === undefined ? undefined : httpUrl(values.target),
    registrationSecret: values['registration-secret'],
    pid: values.pid === undefined ? undefined : positiveNumber('pid', values.pid),
    profile: values.profile ?? false,
    workDir: values['work-dir'],
    keep: values.keep ?? false,
    against: values.against,
    rounds: positiveNumber('rounds', values.rounds ?? '3'),
    processes: positiveNumber('processes', values.processes ?? '1'),
  };
};

const parse = (argv: readonly string[]) => {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        only: { type: 'string', multiple: true },
        seconds: { type: 'string' },
        json: { type: 'boolean' },
        strict: { type: 'boolean' },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        target: { type: 'string' },
        'registration-secret': { type: 'string' },
        pid: { type: 'string' },
        profile: { type: 'boolean' },
        'work-dir': { type: 'string' },
        keep: { type: 'boolean' },
        against: { type: 'string' },
        rounds: { type: 'string' },
        processes: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
};

const positiveNumber = (name: string, text: string): number => {
  const value = Number(text);
  if (!(value > 0)) throw new UsageError(`--${name} wants a number above 0, not '${text}'`);
  return value;
};

const httpUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`--target wants an http or https URL, not '${text}'`);
  }
  return url;
};
