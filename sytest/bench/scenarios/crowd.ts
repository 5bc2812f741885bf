/** One message to a room in which a thousand people wait: for its sender, for others, for the last. */
import { ms } from '../format.ts';
import { inParallel, summarise } from '../measure.ts';
import { Probe } from '../probe.ts';
import { NumberedMessages, Reader } from '../reader.ts';
import type { Scenario } from '../scenario.ts';

const READERS = 1000;
const MESSAGES_PER_SECOND = 2;
const OTHERS_PAUSE_MS = 3;
const GRACE_MS = 10_000;

const pause = (durationMs: number) => new Promise((resolve) => setTimeout(resolve, durationMs));

export const crowd: Scenario = {
  name: 'crowd',
  measures: `${READERS} people wait in one room, ${MESSAGES_PER_SECOND} messages a second; what sender, others and the last reader wait for`,
  bars: [
    { of: 'sender p95', detail: 'senderP95Ms', atMost: 8, unit: 'ms' },
    { of: 'others, worst of a message, p95', detail: 'othersP95Ms', atMost: 20, unit: 'ms' },
    { of: 'last reader p95', detail: 'lastP95Ms', atMost: 250, unit: 'ms' },
  ],
  run: async (world) => {
    const [author, ...readingPeople] = await world.people(READERS + 1);
    const roomId = await author!.createRoom({ preset: 'public_chat' });
    await inParallel(readingPeople, 8, (person) => person.join(roomId));
    const messages = new NumberedMessages();
    const arrivals = new Map<number, number[]>();
    const readers = readingPeople.map(
      (person) =>
        new Reader(person, messages, (message, atMs) => {
          const times = arrivals.get(message) ?? [];
          arrivals.set(message, times);
          times.push(atMs);
        }),
    );
    const probe = await Probe.start({
      url: world.url.href,
      request: { method: 'GET', path: '/_matrix/client/v3/joined_rooms', token: author!.token },
      pauseMs: OTHERS_PAUSE_MS,
    });
    let failure: { error: unknown } | undefined;
    try {
      const started = await inParallel(readers, 20, (reader) => reader.start());
      for (const { ended } of started) {
        ended.catch((error: unknown) => {
          failure ??= { error };
        });
      }
      await pause(500);
      const figures = {
        senderMs: [] as number[],
        othersMs: [] as number[],
        lastMs: [] as number[],
      };
      const warmUp = MESSAGES_PER_SECOND;
      const count = warmUp + Math.ceil(world.seconds * MESSAGES_PER_SECOND);
      for (let message = 0; message < count; message++) {
        await probe.take();
        const startedMs = performance.now();
        const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message`;
        const senderMs = await probe.once({
          method: 'PUT',
          path: `${path}/crowd${message}-${startedMs}`,
          token: author!.token,
          body: messages.content(message),
        });
        const arrived = (): readonly number[] => arrivals.get(message) ?? [];
        while (arrived().length < READERS && failure === undefined) {
          if (performance.now() - startedMs > GRACE_MS) {
            throw new Error(`${arrived().length} of ${READERS} readers have message ${message}`);
          }
          await pause(5);
        }
        if (failure !== undefined) throw failure.error;
        const others = await probe.take();
        if (message >= warmUp) {
          figures.senderMs.push(senderMs);
          figures.lastMs.push(Math.max(...arrived()) - startedMs);
          figures.othersMs.push(Math.max(...others));
        }
        await pause(1000 / MESSAGES_PER_SECOND - (performance.now() - startedMs));
      }
      const [sender, others, last] = [
        summarise(figures.senderMs),
        summarise(figures.othersMs),
        summarise(figures.lastMs),
      ];
      return {
        figure:
          `sender p50 ${ms(sender.p50)}, p95 ${ms(sender.p95)}; others' worst p50 ${ms(others.p50)}, ` +
          `p95 ${ms(others.p95)}; last reader p50 ${ms(last.p50)}, p95 ${ms(last.p95)}`,
        details: {
          senderP50Ms: sender.p50,
          senderP95Ms: sender.p95,
          othersP50Ms: others.p50,
          othersP95Ms: others.p95,
          lastP50Ms: last.p50,
          lastP95Ms: last.p95,
        },
      };
    } finally {
      for (const reader of readers) reader.stop();
      await probe.stop();
    }
  },
};
