/** What every command of `parley` is, and the means they share. */
import { existsSync } from 'node:fs';
import type { ParseArgsConfig } from 'node:util';
import { configFileVariable } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { createLogger, type Logger } from '../ops/logger.ts';

export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

export interface CommandOption {
  readonly type: 'string' | 'boolean';
  /** What stands for the value in the help: `FILE`. */
  readonly value?: string;
  readonly help: string;
}

export interface Command {
  readonly name: string;
  /** Names of the arguments that follow the options. */
  readonly arguments?: readonly string[];
  /** Those of them that may be left out, counted from the end. */
  readonly optionalArguments?: number;
  readonly summary: string;
  readonly options?: Readonly<Record<string, CommandOption>>;
  /** The process ends with the code answered. */
  run(options: OptionValues, args: readonly string[]): Promise<number>;
}

/** Every command understands these. */
export const commonOptions: Readonly<Record<string, CommandOption>> = {
  config: { type: 'string', value: 'FILE', help: 'the configuration file' },
  help: { type: 'boolean', help: 'what this command does' },
};

export const parseOptions = (command: Command): NonNullable<ParseArgsConfig['options']> =>
  Object.fromEntries(
    Object.entries({ ...commonOptions, ...command.options }).map(([name, { type }]) => [
      name,
      { type },
    ]),
  );

const defaultFile = 'config.yaml';

/** The file given, else the one the environment names, else `config.yaml` here if there is one. */
export const configFile = (options: OptionValues): string | undefined => {
  const given = options['config'] ?? process.env[configFileVariable];
  if (typeof given === 'string' && given !== '') return given;
  return existsSync(defaultFile) ? defaultFile : undefined;
};

export const configFor = (options: OptionValues): Config =>
  loadConfig({ file: configFile(options), env: process.env });

/** The name of the process, where there are several, is in every line. */
export const loggerFor = (config: Config, processName?: string): Logger => {
  const { level, format } = config.log;
  const automatic = process.stdout.isTTY ? 'pretty' : 'json';
  return createLogger({
    level,
    format: format === 'auto' ? automatic : format,
    process: processName,
  });
};

/** For commands that answer a person: only what goes wrong, on standard error. */
export const commandLogger = (): Logger =>
  createLogger({ level: 'warn', format: 'pretty' }, process.stderr);

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
