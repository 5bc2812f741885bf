/** From a send to its arrival at everyone who waits in a long poll. */
import { ms, percent } from '../format.ts';
import type { HttpConnection } from '../http-connection.ts';
import { inParallel, summarise } from '../measure.ts';
import type { Person } from '../person.ts';
import { cpuSecondsOf } from '../processes.ts';
import { NumberedMessages, Reader } from '../reader.ts';
import type { Outcome, Scenario, World } from '../scenario.ts';

/** After the last send, how long a reader may take before a message counts as lost. */
const GRACE_MS = 5_000;

const pause = (durationMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, durationMs));

/** Sends without waiting for answers, on as many connections as that takes. */
class Sender {
  readonly #person: Person;
  readonly #idle: HttpConnection[] = [];
  readonly #all: HttpConnection[] = [];

  constructor(person: Person) {
    this.#person = person;
  }

  async send(roomId: string, content: string): Promise<void> {
    const http = this.#idle.pop() ?? this.#open();
    await this.#person.sendOn(http, roomId, content);
    this.#idle.push(http);
  }

  #open(): HttpConnection {
    const http = this.#person.newConnection();
    this.#all.push(http);
    return http;
  }

  close(): void {
    for (const http of this.#all) http.close();
  }
}

const measureDelivery = async (
  world: World,
  readerCount: number,
  messagesPerSecond: number,
): Promise<Outcome> => {
  const [author, ...readingPeople] = await world.people(readerCount + 1);
  const roomId = await author!.createRoom({ preset: 'public_chat' });
  await inParallel(readingPeople, 4, (person) => person.join(roomId));

  const warmUpMessages = Math.ceil(world.warmUpSeconds * messagesPerSecond);
  const messages = warmUpMessages + Math.ceil(world.seconds * messagesPerSecond);
  const sentMs: number[] = [];
  const delaysMs: number[] = [];
  let arrivals = 0;
  const arrived = (message: number, atMs: number): void => {
    arrivals += 1;
    if (message >= warmUpMessages) delaysMs.push(atMs - sentMs[message]!);
  };

  const numbered = new NumberedMessages();
  const readers = readingPeople.map((person) => new Reader(person, numbered, arrived));
  const sender = new Sender(author!);
  let failure: { error: unknown } | undefined;
  const failed = (error: unknown): void => {
    failure ??= { error };
  };
  try {
    const started = await inParallel(readers, 10, (reader) => reader.start());
    for (const { ended } of started) ended.catch(failed);
    // The last of the long polls reaches the server.
    await pause(300);

    const cpuBefore = process.cpuUsage();
    const serverCpuBefore = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
    const startMs = performance.now();
    for (let message = 0; message < messages && failure === undefined; message++) {
      await pause(startMs + (message * 1000) / messagesPerSecond - performance.now());
      sentMs[message] = performance.now();
      sender.send(roomId, numbered.content(message)).catch(failed);
    }
    const deadlineMs = performance.now() + GRACE_MS;
    const expected = messages * readerCount;
    while (arrivals < expected && failure === undefined && performance.now() < deadlineMs) {
      await pause(10);
    }
    if (failure !== undefined) throw failure.error;
    if (arrivals !== expected) {
      throw new Error(`${arrivals} arrivals of ${messages} messages at ${readerCount} readers`);
    }
    const wallSeconds = (performance.now() - startMs) / 1000;
    const cpu = process.cpuUsage(cpuBefore);
    const loadCpuShare = (cpu.user + cpu.system) / 1e6 / wallSeconds;
    const serverCpuAfter = world.pid === undefined ? undefined : await cpuSecondsOf(world.pid);
    const serverCpuShare =
      serverCpuBefore === undefined || serverCpuAfter === undefined
        ? undefined
        : (serverCpuAfter - serverCpuBefore) / wallSeconds;

    const { p50, p95, p99, max, count } = summarise(delaysMs);
    const serverCpu =
      serverCpuShare === undefined ? '' : `, server ${percent(serverCpuShare)} of a core`;
    return {
      figure:
        `p50 ${ms(p50)}, p95 ${ms(p95)}, max ${ms(max)} of ${count} arrivals` +
        `${serverCpu}, load ${percent(loadCpuShare)}`,
      details: {
        p50Ms: p50,
        p95Ms: p95,
        p99Ms: p99,
        maxMs: max,
        arrivals: count,
        loadCpuShare,
        ...(serverCpuShare === undefined ? {} : { serverCpuShare }),
      },
    };
  } finally {
    for (const reader of readers) reader.stop();
    sender.close();
  }
};

export const delivery20: Scenario = {
  name: 'delivery-20',
  measures: 'from send to arrival at 20 long-polling readers, 10 messages a second',
  bars: [{ of: 'p95', detail: 'p95Ms', atMost: 10, unit: 'ms' }],
  compared: [{ detail: 'serverCpuShare', better: 'lower' }],
  run: (world) => measureDelivery(world, 20, 10),
};

export const delivery200: Scenario = {
  name: 'delivery-200',
  measures: 'from send to arrival at 200 long-polling readers, 4 messages a second',
  bars: [{ of: 'p95', detail: 'p95Ms', atMost: 80, unit: 'ms' }],
  compared: [{ detail: 'serverCpuShare', better: 'lower' }],
  run: (world) => measureDelivery(world, 200, 4),
};
