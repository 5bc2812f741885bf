/**
 * A homeserver process under test, started as a user would start it and talked to
 * over HTTP only. What differs between implementations is how to write their
 * configuration and what to run: a `Recipe`.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Authority } from './authority.ts';
import { eventually } from './wait.ts';

/** Enough to talk to a server, also from another process than the one that started it. */
export interface ServerAddress {
  /** The server name: `localhost:PORT` or `127.0.0.1:PORT`, PORT speaking TLS. */
  readonly name: string;
  /** Plain HTTP, for clients; no slash at the end. */
  readonly clientUrl: string;
  /** Each request comes by a connection of its own, so that any process may get it. */
  readonly isSpread?: boolean | undefined;
}

export interface Recipe {
  /** Path, on the client listener, that answers 200 when the server is ready. */
  readonly readyPath: string;
  /** Writes configuration into `dir` and says what to run. */
  prepare(site: Site): Command;
}

/** Everything given to a server: where it may write and which ports are its own. */
export interface Site {
  readonly dir: string;
  readonly serverName: string;
  readonly clientPort: number;
  readonly tlsPort: number;
  /** PEM files. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly trustedCaFile: string;
}

/** What the certificates of the suite's servers are for. */
export type Host = 'localhost' | '127.0.0.1';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
const KEPT_LINES = 200;

export class Server implements ServerAddress {
  readonly name: string;
  readonly clientUrl: string;
  readonly site: Site;
  readonly #recipe: Recipe;
  #process: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  readonly #lines: string[] = [];

  private constructor(recipe: Recipe, site: Site) {
    this.name = site.serverName;
    this.clientUrl = `http://127.0.0.1:${site.clientPort}`;
    this.site = site;
    this.#recipe = recipe;
  }

  /**
   * Lays out a new server's folder without starting it.
   *
   * @param publicPort the port of its server name, if something else listens there for it
   * @param host of its server name
   */
  static async create(
    recipe: Recipe,
    authority: Authority,
    publicPort?: number,
    host: Host = 'localhost',
  ): Promise<Server> {
    const dir = mkdtempSync(join(tmpdir(), 'parley-suite-'));
    const [clientPort, tlsPort] = await Promise.all([freePort(), freePort()]);
    const certificate = authority.issue('localhost', '127.0.0.1');
    const file = (name: string, content: string) => {
      writeFileSync(join(dir, name), content, { mode: 0o644 });
      return join(dir, name);
    };
    return new Server(recipe, {
      dir,
      serverName: `${host}:${publicPort ?? tlsPort}`,
      clientPort,
      tlsPort,
      certFile: file('tls.crt', certificate.certPem),
      keyFile: file('tls.key', certificate.keyPem),
      trustedCaFile: file('ca.crt', authority.certPem),
    });
  }

  /** Of the process that was started last. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Resolves when the server says it is ready. */
  async start(): Promise<this> {
    const { program, args, env } = this.#recipe.prepare(this.site);
    const child = spawn(program, args, {
      cwd: this.site.dir,
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Its own process group, so that nothing it starts can outlive the test.
      detached: true,
    });
    this.#process = child;
    running.add(child);
    this.#exited = new Promise((done) => {
      child.once('exit', () => {
        running.delete(child);
        done();
      });
    });
    this.#keepOutput(child);
    try {
      await eventually(
        `${this.name} becomes ready`,
        async () => {
          if (child.exitCode !== null || child.signalCode !== null) return 'ended' as const;
          const answer = await fetch(`${this.clientUrl}${this.#recipe.readyPath}`);
          await answer.body?.cancel();
          return answer.status === 200 ? ('ready' as const) : undefined;
        },
        { timeoutMs: START_TIMEOUT_MS },
      ).then((state) => {
        if (state === 'ended') throw new Error(`ended with ${child.exitCode ?? child.signalCode}`);
      });
    } catch (error) {
      await this.destroy();
      throw new Error(`${this.name} did not start:\n${this.logTail()}`, { cause: error });
    }
    return this;
  }

  /** Asks it to stop and waits; a server that does not stop in time is an error. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || !running.has(child)) return;
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
    if (child.signalCode === 'SIGKILL') {
      throw new Error(`${this.name} did not stop within ${STOP_TIMEOUT_MS} ms:\n${this.logTail()}`);
    }
  }

  /** As a power cut would: no chance to clean up. Only the server; its database is left running. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#exited;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Stops it however needed and removes its folder. */
  async destroy(): Promise<void> {
    const child = this.#process;
    try {
      await this.stop();
    } finally {
      if (child) killGroup(child);
      rmSync(this.site.dir, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  logTail(): string {
    return this.#lines.join('\n');
  }

  #keepOutput(child: ChildProcess): void {
    mkdirSync(this.site.dir, { recursive: true });
    const log = createWriteStream(join(this.site.dir, 'output.log'), { flags: 'a' });
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        log.write(text);
        this.#lines.push(...text.split('\n').filter((line) => line !== ''));
        this.#lines.splice(0, this.#lines.length - KEPT_LINES);
      });
    }
    child.once('close', () => log.end());
  }
}

const running = new Set<ChildProcess>();

process.once('exit', () => {
  for (const child of running) killGroup(child);
});

function killGroup(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

/** A port nobody listens on now. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done, failed) => {
    probe.once('error', failed);
    probe.listen(0, '127.0.0.1', done);
  });
  const { port } = probe.address() as { port: number };
  await new Promise((done) => probe.close(done));
  return port;
}
