/** Every command of `parley`, in the order the help lists them. */
import { createUserCommand, resetPasswordCommand } from './account-commands.ts';
import type { Command } from './command.ts';
import { generateConfigCommand, migrateCommand } from './config-commands.ts';
import { doctorCommand } from './doctor.ts';
import { registrationTokenCommand } from './registration-token.ts';
import { rotateSigningKeyCommand } from './rotate-signing-key.ts';
import { startCommand } from './start.ts';

export const commands: readonly Command[] = [
  startCommand,
  createUserCommand,
  resetPasswordCommand,
  registrationTokenCommand,
  doctorCommand,
  rotateSigningKeyCommand,
  generateConfigCommand,
  migrateCommand,
];
