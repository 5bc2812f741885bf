/** The thread behind `probe.ts`. */
import { setTimeout as pause } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { HttpConnection, type HttpRequest } from './http-connection.ts';
import { expectOk } from './person.ts';
import type { FromProbe, ProbeOptions, ToProbe } from './probe.ts';

const { url, request, pauseMs } = workerData as ProbeOptions;
const [again, beside] = [new HttpConnection(new URL(url)), new HttpConnection(new URL(url))];
let latenciesMs: number[] = [];
let failure: string | undefined;

const timed = async (http: HttpConnection, what: HttpRequest): Promise<number> => {
  const startedMs = performance.now();
  await expectOk(http, what);
  return performance.now() - startedMs;
};

const ask = async (): Promise<void> => {
  for (;;) {
    try {
      latenciesMs.push(await timed(again, request));
    } catch (error) {
      failure ??= String(error);
    }
    await pause(pauseMs);
  }
};

const answerTo = async (message: ToProbe): Promise<FromProbe> => {
  if ('once' in message) return { latencyMs: await timed(beside, message.once) };
  if (failure !== undefined) throw new Error(failure);
  const taken = latenciesMs;
  latenciesMs = [];
  return { latenciesMs: taken };
};

parentPort!.on('message', (message: ToProbe) => {
  void answerTo(message)
    .catch((error: unknown): FromProbe => ({ error: String(error) }))
    .then((answer) => parentPort!.postMessage(answer));
});
void ask();
