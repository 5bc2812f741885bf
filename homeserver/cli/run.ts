/** Finds the command, reads its options, and turns what goes wrong into a message and an exit code. */
import { parseArgs } from 'node:util';
import { MatrixError } from '../../spec/errors.ts';
import { nearest } from '../config/nearest.ts';
import { explainFailure } from '../ops/explain-failure.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { type Command, type CommandOption, commonOptions, parseOptions, print } from './command.ts';
import { commands } from './commands.ts';
import { version } from './version.ts';

const usageOf = ({ name, arguments: names = [], optionalArguments = 0 }: Command): string => {
  const shown = names.map((argument, at) =>
    at >= names.length - optionalArguments ? `[${argument}]` : argument,
  );
  return ['parley', name, ...shown, '[options]'].join(' ');
};

const columns = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
};

const optionRow = ([name, option]: [string, CommandOption]): readonly [string, string] => [
  `--${name}${option.value === undefined ? '' : ` ${option.value}`}`,
  option.help,
];

const overview = async (): Promise<string> => {
  const all = await Promise.all(commands.map(({ load }) => load()));
  return [
    `Parley ${version()}, a Matrix homeserver`,
    '',
    columns(all.map(({ name, summary }) => [`parley ${name}`, summary])),
    '',
    'Every command takes --config FILE and --help.',
  ].join('\n');
};

const helpFor = (command: Command): string =>
  [
    `${usageOf(command)}\n\n${command.summary}\n`,
    columns(Object.entries({ ...command.options, ...commonOptions }).map(optionRow)),
  ].join('\n');

const usageFailure = (message: string): StartFailure => new StartFailure('usage', message);

const findCommand = (name: string): Promise<Command> => {
  const command = commands.find((candidate) => candidate.name === name);
  if (command !== undefined) return command.load();
  const guess = nearest(
    name,
    commands.map((candidate) => candidate.name),
  );
  const hint = guess === undefined ? '' : ` Did you mean "${guess}"?`;
  throw usageFailure(`There is no command "${name}".${hint} "parley --help" lists them all.`);
};

const parse = (command: Command, args: readonly string[]) => {
  try {
    return parseArgs({
      args: [...args],
      options: parseOptions(command),
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    throw usageFailure(`${(error as Error).message} Usage: ${usageOf(command)}`);
  }
};

const execute = async (argv: readonly string[]): Promise<number> => {
  const [name = '--help', ...rest] = argv;
  if (name === '--version') {
    print(version());
    return 0;
  }
  if (name === '--help' || name === '-h' || name === 'help') {
    print(await overview());
    return 0;
  }
  const command = await findCommand(name);
  const { values, positionals } = parse(command, rest);
  if (values['help'] === true) {
    print(helpFor(command));
    return 0;
  }
  const most = command.arguments?.length ?? 0;
  const least = most - (command.optionalArguments ?? 0);
  if (positionals.length < least || positionals.length > most) {
    throw usageFailure(`Usage: ${usageOf(command)}`);
  }
  return command.run(values as Record<string, string | boolean | undefined>, positionals);
};

/** Runs one command line and ends the process with its exit code. */
export const runCommandLine = async (argv: readonly string[]): Promise<void> => {
  let code: number;
  try {
    code = await execute(argv);
  } catch (error) {
    const failure =
      error instanceof MatrixError ? usageFailure(`${error.message}.`) : explainFailure(error);
    const text = failure?.message ?? (error instanceof Error ? error.stack : String(error));
    process.stderr.write(`${text}\n`);
    code = failure?.exitCode ?? 1;
  }
  process.exitCode = code;
  // Output still on its way into a pipe is written before the process ends.
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise((resolve) => stream.write('', resolve)),
    ),
  );
  process.exit(code);
};
