/** `parley generate-config` and `parley migrate`. */
import { sampleConfig } from '../config/sample.ts';
import { openDatabaseForCommand } from '../storage/open-database.ts';
import { type Command, commandLogger, configFor, print } from './command.ts';

export const generateConfigCommand: Command = {
  name: 'generate-config',
  summary: 'prints a configuration file with every key, its meaning and its default',
  async run() {
    process.stdout.write(sampleConfig());
    return 0;
  },
};

export const migrateCommand: Command = {
  name: 'migrate',
  summary: "brings the database to this release's schema, as starting would",
  async run(options) {
    const opened = await openDatabaseForCommand(configFor(options), commandLogger());
    await opened.stop();
    for (const name of opened.migrated) print(`applied ${name}`);
    print(opened.migrated.length === 0 ? 'the schema was up to date' : 'the schema is up to date');
    return 0;
  },
};
