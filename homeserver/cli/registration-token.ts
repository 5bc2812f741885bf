/** `parley registration-token`: makes a token with which people register. */
import { RegistrationTokens } from '../accounts/registration-tokens.ts';
import { systemClock } from '../clock.ts';
import { StartFailure } from '../ops/start-failure.ts';
import { systemRandom } from '../random.ts';
import { openDatabaseForCommand } from '../storage/open-database.ts';
import { type Command, commandLogger, configFor, type OptionValues, print } from './command.ts';

const dayMs = 86_400_000;

const positive = (options: OptionValues, name: string): number | undefined => {
  const text = options[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new StartFailure('usage', `--${name} is "${text}", expected a whole number above 0`);
};

export const registrationTokenCommand: Command = {
  name: 'registration-token',
  summary: 'makes a registration token and prints it',
  options: {
    uses: { type: 'string', value: 'N', help: 'accounts it is good for (1)' },
    unlimited: { type: 'boolean', help: 'good for any number of accounts' },
    days: { type: 'string', value: 'N', help: 'days it is good for (no end)' },
    token: { type: 'string', value: 'TEXT', help: 'the token itself (chosen at random)' },
  },
  async run(options) {
    const usesAllowed =
      options['unlimited'] === true ? undefined : (positive(options, 'uses') ?? 1);
    const days = positive(options, 'days');
    const token = options['token'];
    const opened = await openDatabaseForCommand(configFor(options), commandLogger());
    try {
      const tokens = new RegistrationTokens(opened.database, systemClock, systemRandom);
      const made = await tokens.create({
        token: typeof token === 'string' ? token : undefined,
        usesAllowed,
        expiresAtMs: days === undefined ? undefined : systemClock.nowMs() + days * dayMs,
      });
      print(made.token);
    } finally {
      await opened.stop();
    }
    return 0;
  },
};
