/** Every command of `parley`, in the order the help lists them. */
import { createUserCommand, resetPasswordCommand } from './account-commands.ts';
import type { Command } from './command.ts';
import { generateConfigCommand, migrateCommand } from './config-commands.ts';
import { doctorCommand } from './doctor.ts';
import { registrationTokenCommand } from './registration-token.ts';
import { closeReportCommand, reportsCommand } from './report-commands.ts';
import { rotateSigningKeyCommand } from './rotate-signing-key.ts';
import { startCommand } from './start.ts';
import {
  deactivateUserCommand,
  listUsersCommand,
  lockUserCommand,
  logOutCommand,
  makeAdminCommand,
  suspendUserCommand,
} from './user-commands.ts';

export const commands: readonly Command[] = [
  startCommand,
  createUserCommand,
  resetPasswordCommand,
  listUsersCommand,
  makeAdminCommand,
  logOutCommand,
  lockUserCommand,
  suspendUserCommand,
  deactivateUserCommand,
  reportsCommand,
  closeReportCommand,
  registrationTokenCommand,
  doctorCommand,
  rotateSigningKeyCommand,
  generateConfigCommand,
  migrateCommand,
];
