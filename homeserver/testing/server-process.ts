/** The built command line as a process of its own, as a person runs it. Needs `npm run build`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const program = join(process.cwd(), 'dist/homeserver/cli/parley.js');

/** Listeners on free ports, so that many servers run side by side. */
export const freeListeners = JSON.stringify([
  { port: 0, bind: ['127.0.0.1'] },
  { port: 0, bind: ['127.0.0.1'], resources: ['metrics'] },
]);

const environment = (dataFolder: string, env: Record<string, string>): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  PARLEY_DATA_DIR: dataFolder,
  PARLEY_LISTENERS: freeListeners,
  PARLEY_LOG_FORMAT: 'json',
  ...env,
});

export class ServerProcess {
  readonly child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], dataFolder: string, env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, [program, ...args], {
      cwd: dataFolder,
      env: environment(dataFolder, env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exited = once(this.child, 'close');
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
  }

  get output(): string {
    return this.#stdout;
  }

  /** The client address, once the server answers there. Throws when it ends instead. */
  async address(): Promise<string> {
    for (;;) {
      const line = this.#stdout.split('\n').find((each) => each.includes('"address":"'));
      if (line !== undefined) return (JSON.parse(line) as { address: string }).address;
      if (this.child.exitCode !== null) throw new Error(this.#stderr + this.#stdout);
      await sleep(10);
    }
  }

  async result(): Promise<CommandResult> {
    await this.#exited;
    return { code: this.child.exitCode, stdout: this.#stdout, stderr: this.#stderr };
  }

  signal(name: NodeJS.Signals): Promise<CommandResult> {
    this.child.kill(name);
    return this.result();
  }
}

/** Runs one command to its end. */
export const runParley = (
  args: readonly string[],
  dataFolder: string,
  env: Record<string, string> = {},
): Promise<CommandResult> => new ServerProcess(args, dataFolder, env).result();

/** Asks again until `check` holds; throws after `timeoutMs`. */
export const eventually = async (
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> => {
  for (const endMs = Date.now() + timeoutMs; !(await check()); ) {
    if (Date.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(20);
  }
};
