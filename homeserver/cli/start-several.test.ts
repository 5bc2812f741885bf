import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning } from '../ops/processes.ts';
import { readPostmasterFile } from '../storage/postmaster-file.ts';
import { eventually, runParley, ServerProcess } from '../testing/server-process.ts';

let folder: string;
let temporary: string;
let started: ServerProcess | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-cli-'));
  await chmod(folder, 0o711);
  temporary = await mkdtemp(join(tmpdir(), 'several-'));
});

afterEach(async () => {
  if (started?.child.exitCode === null) await started.signal('SIGKILL');
  started = undefined;
  const pid = (await readPostmasterFile(join(folder, 'postgres')))?.pid ?? 0;
  await eventually('the database ends', async () => pid === 0 || !(await isRunning(pid)));
  await rm(folder, { recursive: true });
  await rm(temporary, { recursive: true });
});

interface Line {
  readonly msg: string;
  readonly process?: string;
  readonly child?: number;
  readonly pid?: number;
  readonly role?: string;
  readonly pauseMs?: number;
}

const linesOf = (server: ServerProcess): Line[] =>
  server.output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);

/** The pids of the processes as they run now, by number. */
const pidsOf = (server: ServerProcess): Map<number, number> =>
  new Map(
    linesOf(server)
      .filter(({ msg }) => msg === 'a process of the server runs')
      .map(({ child, pid }) => [child as number, pid as number]),
  );

const leaderOf = (server: ServerProcess): number =>
  Number(linesOf(server).findLast(({ role }) => role === 'leader')?.process);

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return port;
};

const start = async (): Promise<{ server: ServerProcess; address: string; metrics: string }> => {
  const [clients, metrics] = [await freePort(), await freePort()];
  const listeners = [
    { port: clients, bind: ['127.0.0.1'] },
    { port: metrics, bind: ['127.0.0.1'], resources: ['metrics'] },
  ];
  const server = new ServerProcess(['start'], folder, {
    PARLEY_PROCESSES: '3',
    PARLEY_RATE_LIMITS_ENABLED: 'false',
    PARLEY_LISTENERS: JSON.stringify(listeners),
    TMPDIR: temporary,
  });
  started = server;
  const address = await server.address();
  return { server, address, metrics: `http://127.0.0.1:${metrics}/metrics` };
};

/** Of a new connection. */
const statusOf = (url: string): Promise<number> =>
  new Promise((resolve, reject) => {
    request(url, { agent: false }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
    })
      .once('error', reject)
      .end();
  });

const countsByProcess = async (metrics: string): Promise<Map<string, number>> => {
  const text = await (await fetch(metrics)).text();
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) {
    const found =
      /^parley_http_requests_total\{operation="getVersions".*process="(\d)"\} (\d+)/.exec(line);
    if (found !== null) counts.set(found[1] as string, Number(found[2]));
  }
  return counts;
};

describe('a server of several processes', () => {
  it('spreads connections evenly, answers for all, and is one to the commands beside it', async () => {
    const { server, address, metrics } = await start();
    expect([...pidsOf(server).keys()].sort()).toEqual([1, 2, 3]);
    for (let nth = 0; nth < 30; nth++) {
      expect(await statusOf(`${address}/_matrix/client/versions`)).toBe(200);
    }
    const counts = await countsByProcess(metrics);
    expect([...counts.values()]).toEqual([10, 10, 10]);
    const text = await (await fetch(metrics)).text();
    for (const process of ['1', '2', '3']) {
      expect(text).toMatch(new RegExp(`^process_resident_memory_bytes{process="${process}"}`, 'm'));
    }
    expect(text.match(/^parley_cluster_role{role="leader",process="\d"} 1$/gm)).toHaveLength(1);
    expect(text).toMatch(/^parley_cluster_members{process="\d"} 3$/m);

    const doctor = await runParley(['doctor'], folder);
    expect(doctor.stdout).toContain('Nothing to mend.');
    const token = await runParley(['registration-token'], folder);
    expect(token.code).toBe(0);
    expect((await runParley(['start'], folder)).code).toBe(75);

    const { code, stdout } = await server.signal('SIGTERM');
    expect(code).toBe(0);
    const stops = linesOf(server).filter(({ msg }) => msg === 'stopped');
    expect(stops.map(({ process }) => process).slice(-2)).toEqual([
      String(leaderOf(server)),
      'parent',
    ]);
    expect(stdout).not.toContain('"level":50');
    expect(await readdir(temporary)).toEqual([]);
  });

  it('starts a dead process again, at once the first time', async () => {
    const { server, address } = await start();
    const first = pidsOf(server).get(2) as number;
    process.kill(first, 'SIGKILL');
    await eventually('another process 2', () => pidsOf(server).get(2) !== first);
    process.kill(pidsOf(server).get(2) as number, 'SIGKILL');
    const pauses = () => linesOf(server).flatMap(({ pauseMs }) => pauseMs ?? []);
    await eventually('its second end', () => pauses().length === 2);
    expect(pauses()).toEqual([0, 500]);
    expect(await statusOf(`${address}/health/ready`)).toBe(200);
  });

  it('ends with its parent, and leaves nothing', async () => {
    const { server } = await start();
    const pids = [...pidsOf(server).values()];
    await server.signal('SIGKILL');
    for (const pid of pids) {
      await eventually('a process ends', async () => !(await isRunning(pid)));
    }
    expect(await readdir(temporary)).toEqual([]);
  });

  it('ends at once at the second signal', async () => {
    const { server } = await start();
    const pids = [...pidsOf(server).values()];
    // Holds the stop up: it cannot hand over.
    process.kill(pids[0] as number, 'SIGSTOP');
    server.child.kill('SIGTERM');
    await eventually('the first signal is heard', () => server.output.includes('a second signal'));
    server.child.kill('SIGTERM');
    await eventually('the parent ends', () => server.child.exitCode === 130);
    process.kill(pids[0] as number, 'SIGCONT');
    for (const pid of pids) {
      await eventually('a process ends', async () => !(await isRunning(pid)));
    }
  });
});

interface Person {
  readonly token: string;
  readonly room: string;
}

const call = async (
  agent: Agent,
  method: string,
  url: string,
  body: unknown,
  token?: string,
): Promise<{ status: number; json: Record<string, unknown> }> =>
  new Promise((resolve, reject) => {
    const headers = {
      'Content-Type': 'application/json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    };
    const outgoing = request(url, { method, agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
      });
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) }),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(JSON.stringify(body));
  });

describe('with requests under way', () => {
  const register = async (
    { server, address }: { server: ServerProcess; address: string },
    agent: Agent,
  ): Promise<string> => {
    const token = /registration token +(\S+)/.exec(server.output)?.[1];
    const url = `${address}/_matrix/client/v3/register`;
    const person = { username: 'alice', password: 'correct horse battery' };
    const asked = await call(agent, 'POST', url, person);
    const auth = { type: 'm.login.registration_token', token, session: asked.json['session'] };
    const { json } = await call(agent, 'POST', url, { ...person, auth });
    return json['access_token'] as string;
  };

  /** Sends until told to end; answers every status, and every failure to get one. */
  const sendAll = async (address: string, { token, room }: Person, until: () => boolean) => {
    const outcomes: unknown[] = [];
    const agent = new Agent({ keepAlive: true });
    for (let nth = 0; !until(); nth++) {
      const url = `${address}/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/${nth}`;
      const answer = await call(agent, 'PUT', url, { msgtype: 'm.text', body: 'x' }, token).catch(
        (error: unknown) => ({ status: String(error), json: {} }),
      );
      outcomes.push(answer.status === 200 ? 200 : answer);
      // People pause; and the processes that start need the processor as well.
      await sleep(20);
    }
    agent.destroy();
    return outcomes;
  };

  it('hands over from a process that is stopped, the leader too, without one that fails', async () => {
    const running = await start();
    const { server, address } = running;
    const agent = new Agent({ keepAlive: false });
    const token = await register(running, agent);
    const rooms = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const url = `${address}/_matrix/client/v3/createRoom`;
        return (await call(agent, 'POST', url, {}, token)).json['room_id'] as string;
      }),
    );
    let isOver = false;
    const sending = Promise.all(
      rooms.map((room) => sendAll(address, { token, room }, () => isOver)),
    );
    const member = [1, 2, 3].find((number) => number !== leaderOf(server)) as number;
    for (const number of [member, leaderOf(server)]) {
      const before = pidsOf(server).get(number) as number;
      process.kill(before, 'SIGTERM');
      await eventually(
        `another process ${number}`,
        () => pidsOf(server).get(number) !== before,
        60_000,
      );
    }
    const before = new Map(pidsOf(server));
    server.child.kill('SIGHUP');
    await eventually(
      'every process is another',
      () => [...pidsOf(server)].every(([number, pid]) => before.get(number) !== pid),
      120_000,
    );
    isOver = true;
    const outcomes = (await sending).flat();
    expect(outcomes.length).toBeGreaterThan(30);
    expect(outcomes.filter((outcome) => outcome !== 200)).toEqual([]);
  }, 240_000);
});
