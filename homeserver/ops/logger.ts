/** Structured logs: one JSON object a line for machines, or one readable line for a person. */
import pino, { type Logger } from 'pino';

export type { Logger } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export const logFormats = ['json', 'pretty'] as const;

export interface LoggerOptions {
  readonly level: (typeof logLevels)[number];
  readonly format: (typeof logFormats)[number];
  /** Which of several processes this is; the field `process` of every line. */
  readonly process?: string | undefined;
}

export interface LogDestination {
  write(text: string): unknown;
}

const levelNames: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** Fields whose values must never reach a log, wherever a caller puts them. */
const secretFields = ['password', 'access_token', 'refresh_token', 'authorization', 'secret'];

const shown = (value: unknown): string =>
  typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);

/** One pino JSON line as `12:00:00.000 info  message key=value`, with a stack on the lines below. */
export const prettyLine = (json: string): string => {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(json) as Record<string, unknown>;
  } catch {
    return json;
  }
  const { level, time, msg, err, ...fields } = record;
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  const name = (levelNames[Number(level)] ?? String(level)).padEnd(5);
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${shown(value)}`);
  const error = err as { message?: string; stack?: string } | undefined;
  const message = [msg, error === undefined ? undefined : error.message].filter((part, at, all) => {
    return part !== undefined && all.indexOf(part) === at;
  });
  const stack = error?.stack === undefined ? '' : `\n${error.stack.replace(/^/gm, '    ')}`;
  return `${clock} ${name} ${message.join(': ')}${rest.join('')}${stack}\n`;
};

/** `destination` is standard output unless given. */
export const createLogger = (options: LoggerOptions, destination?: LogDestination): Logger => {
  const settings = {
    level: options.level,
    base: options.process === undefined ? null : { process: options.process },
    redact: {
      paths: secretFields.flatMap((field) => [field, `*.${field}`]),
      censor: '[hidden]',
    },
  };
  const output = destination ?? process.stdout;
  if (options.format === 'json') {
    return destination === undefined ? pino(settings) : pino(settings, destination as never);
  }
  return pino(settings, { write: (line: string) => output.write(prettyLine(line)) } as never);
};

/** Says nothing; for tests and for commands that speak to a person instead. */
export const silentLogger: Logger = createLogger({ level: 'silent', format: 'json' });
