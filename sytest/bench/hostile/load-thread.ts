/** The thread behind `load.ts`. */
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { type HostileTarget, sendHostile } from '../../lib/hostile-request.ts';
import { hostileAnswers } from './answers.ts';
import type { FromLoad, LoadOptions, ToLoad } from './load.ts';
import { honestAnswer, questions } from './questions.ts';
import { type HostileRequests, hostileRequests } from './requests.ts';
import { type Answer, HostileServer, json } from './server.ts';

const { certificate, ca, scene, atATime } = workerData as LoadOptions;
const NICENESS = 10;
/** Servers whose keys are known after their first request. */
const KNOWN_SERVERS = 20;
/** A request that is neither answered nor cut is left for another after this. */
const GIVE_UP_MS = 3_000;
const ADDRESSES = 100;

// On Linux this is the priority of the thread and not of the program.
if (process.platform === 'linux') setPriority(NICENESS);

const refuses: Answer = (_path, response) => {
  response.writeHead(404, { 'Content-Type': 'application/json', 'Content-Length': 2 }).end('{}');
};
const known = await Promise.all(
  Array.from({ length: KNOWN_SERVERS }, () => HostileServer.start(certificate, refuses)),
);
const requests = hostileRequests(scene, known);
let prepared: HostileRequests | undefined;
let answering: readonly HostileServer[] = [];

/** Many addresses, where the system has them all: a share of one is not what bounds the server. */
const targetFor = (index: number): HostileTarget => {
  const [host = '', port] = scene.destination.split(':');
  const target = { host, port: Number(port), ca };
  if (process.platform !== 'linux') return target;
  return { ...target, localAddress: `127.0.0.${2 + (index % ADDRESSES)}` };
};

const strike = async (seconds: number): Promise<Record<string, number>> => {
  const next = prepared;
  if (next === undefined) throw new Error('no kind was prepared');
  const outcomes = new Map<string, number>();
  const endMs = performance.now() + seconds * 1000;
  let index = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const giveUpMs = Math.min(GIVE_UP_MS, Math.max(1, endMs - performance.now()));
      const mine = index++;
      const { status, closed } = await sendHostile(targetFor(mine), next(mine), giveUpMs);
      const outcome = status === undefined ? (closed ? 'closed' : 'under way') : String(status);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return Object.fromEntries(outcomes);
};

const rest = (): void => {
  for (const server of answering) server.close();
  answering = [];
};

const answer = async (kind: string, asked: readonly string[]): Promise<readonly string[]> => {
  rest();
  const hostile = hostileAnswers[kind];
  const start = async (what: string): Promise<HostileServer> => {
    const question = questions.find((one) => one.what === what);
    if (hostile === undefined || question === undefined) throw new Error(`no ${kind}, ${what}`);
    const server: HostileServer = await HostileServer.start(certificate, (path, response) => {
      const honest = question.path.test(path) ? undefined : honestAnswer(path);
      if (honest === undefined) hostile(response, question.head(server.name));
      else json(response, honest);
    });
    return server;
  };
  answering = await Promise.all(
    Array.from({ length: atATime }, (_, index) => start(asked[index % asked.length] as string)),
  );
  return answering.map(({ name }) => name);
};

const handle = async (message: ToLoad): Promise<FromLoad> => {
  if ('kinds' in message) {
    return { kinds: { requests: Object.keys(requests), answers: Object.keys(hostileAnswers) } };
  }
  if ('prepare' in message) {
    const make = requests[message.prepare];
    if (make === undefined) throw new Error(`no requests are called ${message.prepare}`);
    prepared = make();
    return { outcomes: {} };
  }
  if ('strike' in message) return { outcomes: await strike(message.strike.seconds) };
  if ('answer' in message) {
    return { names: await answer(message.answer.kind, message.answer.questions) };
  }
  rest();
  return { names: [] };
};

parentPort!.on('message', (message: ToLoad) => {
  void handle(message)
    .catch((error: unknown): FromLoad => ({ error: String(error) }))
    .then((done) => parentPort!.postMessage(done));
});
