/** Every command of `parley`, in the order the help lists them. */
import type { Command } from './command.ts';
import { generateConfigCommand, migrateCommand } from './config-commands.ts';
import { doctorCommand } from './doctor.ts';
import { startCommand } from './start.ts';

export const commands: readonly Command[] = [
  startCommand,
  doctorCommand,
  generateConfigCommand,
  migrateCommand,
];
