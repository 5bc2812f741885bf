/**
 * Every command of `parley`, in the order the help lists them. Each is loaded when it is needed: a
 * process that only looks after others loads no server.
 */
import type { Command } from './command.ts';

export interface CommandEntry {
  readonly name: string;
  load(): Promise<Command>;
}

const account = () => import('./account-commands.ts');
const user = () => import('./user-commands.ts');
const report = () => import('./report-commands.ts');
const config = () => import('./config-commands.ts');

export const commands: readonly CommandEntry[] = [
  { name: 'start', load: async () => (await import('./start.ts')).startCommand },
  { name: 'create-user', load: async () => (await account()).createUserCommand },
  { name: 'reset-password', load: async () => (await account()).resetPasswordCommand },
  { name: 'list-users', load: async () => (await user()).listUsersCommand },
  { name: 'make-admin', load: async () => (await user()).makeAdminCommand },
  { name: 'log-out', load: async () => (await user()).logOutCommand },
  { name: 'lock-user', load: async () => (await user()).lockUserCommand },
  { name: 'suspend-user', load: async () => (await user()).suspendUserCommand },
  { name: 'deactivate-user', load: async () => (await user()).deactivateUserCommand },
  { name: 'reports', load: async () => (await report()).reportsCommand },
  { name: 'close-report', load: async () => (await report()).closeReportCommand },
  {
    name: 'registration-token',
    load: async () => (await import('./registration-token.ts')).registrationTokenCommand,
  },
  { name: 'doctor', load: async () => (await import('./doctor.ts')).doctorCommand },
  {
    name: 'rotate-signing-key',
    load: async () => (await import('./rotate-signing-key.ts')).rotateSigningKeyCommand,
  },
  { name: 'generate-config', load: async () => (await config()).generateConfigCommand },
  { name: 'migrate', load: async () => (await config()).migrateCommand },
];
