/** The command line of the built program, run beside a server as its operator does. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repositoryRoot } from './repository.ts';
import type { Server } from './server.ts';
import { eventually } from './wait.ts';

const run = promisify(execFile);

/** What `parley ARGS --config …` prints, for the data folder of a server. */
export async function parleyCommand(server: Server, ...args: readonly string[]): Promise<string> {
  const program = join(repositoryRoot(), 'dist/homeserver/cli/parley.js');
  const configFile = join(server.site.dir, 'config.yaml');
  const { stdout } = await run(process.execPath, [program, ...args, '--config', configFile], {
    cwd: server.site.dir,
  });
  return stdout.trim();
}

/** The token the first start prints for the first account. */
export async function printedRegistrationToken(server: Server): Promise<string> {
  return eventually(
    'a registration token is printed',
    () => /^ *registration token +(\S+)/m.exec(server.logTail())?.[1],
  );
}
