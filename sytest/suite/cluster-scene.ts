/**
 * Trouble in a server of several processes while fifty people send and read through all of them:
 * who is struck, and for how long nobody could send to a room. CHAOS_ROUNDS (1 unless given) says how
 * often each kind of trouble is met; CHAOS_SEED repeats a run. From ten rounds on the clock is judged as
 * strictly as docs/scaling.md promises: 5 s after a kill, 500 ms where a process is asked to stop.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerAddress } from '../lib/server.ts';
import { CrashScene, type Struck } from './crash-scene.ts';

export const CHAOS_ROUNDS = Number(process.env['CHAOS_ROUNDS'] ?? 1);
export const CHAOS_TIMEOUT_MS = 120_000 + CHAOS_ROUNDS * 30_000;
const CHAOS_SEED = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000);
/** Enough for each process to own some. */
const ROOMS = 12;

/** Twice the silence after which a process is given up. */
export const FREEZE_MS = 7_000;
/** A run of many rounds has the machine for itself, and is judged by the clock. */
const IS_STRICT = CHAOS_ROUNDS >= 10;
/** From `kill -9` on; p95. */
const FAILOVER_MS = IS_STRICT ? 5_000 : 15_000;
/** For handing over when a process is asked to stop. */
const HAND_OVER_MS = IS_STRICT ? 500 : 5_000;

export class ClusterScene {
  readonly crash: CrashScene;
  /** From each `kill -9` until somebody could send again, in the room that waited longest. */
  readonly failoversMs: number[] = [];

  private constructor(crash: CrashScene) {
    this.crash = crash;
  }

  static async prepare(
    server: ServerAddress,
    isReady: () => Promise<true | undefined>,
  ): Promise<ClusterScene> {
    process.stderr.write(`chaos test: CHAOS_SEED=${CHAOS_SEED} CHAOS_ROUNDS=${CHAOS_ROUNDS}\n`);
    const spread = { name: server.name, clientUrl: server.clientUrl, isSpread: true };
    return new ClusterScene(
      await CrashScene.prepare(spread, { seed: CHAOS_SEED, rooms: ROOMS, isReady }),
    );
  }

  async strike(what: string, strike: () => Promise<void>): Promise<void> {
    const struck = await this.crash.strikeWhilePeopleSend(what, strike);
    process.stderr.write(`${what}: longest pause ${Math.round(longestPauseMs(struck))} ms\n`);
  }

  /** For a strike that kills. */
  async kills(what: string, kill: () => Promise<void>): Promise<void> {
    const struck = await this.crash.strikeWhilePeopleSend(what, kill);
    const pauseMs = longestPauseMs(struck);
    this.failoversMs.push(pauseMs);
    process.stderr.write(`${what}: failover in ${Math.round(pauseMs)} ms\n`);
  }

  /** For a process that is asked to stop: nobody's request fails, and nobody waits for long. */
  async stops(what: string, stop: () => Promise<void>): Promise<void> {
    const struck = await this.crash.strikeWhilePeopleSend(what, stop);
    const failed = struck.sent.filter(({ attempts }) => attempts > 1);
    const pauseMs = longestPauseMs(struck);
    const calmMs = longestCalmPauseMs(struck);
    process.stderr.write(
      `${what}: ${failed.length} requests failed; longest pause ${Math.round(pauseMs)} ms ` +
        `(${Math.round(calmMs)} ms before)\n`,
    );
    expect(failed.flatMap(({ failures }) => failures)).toEqual([]);
    // Where people wait longer before it as well, it is not the stop they wait for.
    expect(pauseMs).toBeLessThanOrEqual(Math.max(HAND_OVER_MS, 2 * calmMs));
  }

  /** Stops a process for some time, as an operating system may. */
  async freezes(pid: number): Promise<void> {
    process.kill(pid, 'SIGSTOP');
    try {
      await sleep(this.crash.random.below(FREEZE_MS));
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  }
}

/** To be called within a `describe`, after the tests that kill. */
export const itFailsOverInTime = (scene: () => ClusterScene): void => {
  it('from kill -9 until the next message in any room, p95 is within bounds', () => {
    const sorted = [...scene().failoversMs].sort((a, b) => a - b);
    expect(sorted.length).toBeGreaterThan(0);
    const at = (percent: number) => Math.round(sorted[Math.ceil(sorted.length * percent) - 1]!);
    process.stderr.write(
      `failover, ${sorted.length} kills: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, longest ${at(1)} ms\n`,
    );
    expect(at(0.95)).toBeLessThanOrEqual(FAILOVER_MS);
  });
};

/** The longest time after the strike within which nobody's message to some room was acknowledged. */
const longestPauseMs = ({ sent, struckMs }: Struck): number =>
  longestGapMs(sent, (_, afterMs) => afterMs > struckMs);

const longestCalmPauseMs = ({ sent, struckMs }: Struck): number =>
  longestGapMs(sent, (_, afterMs) => afterMs <= struckMs);

const longestGapMs = (
  sent: Struck['sent'],
  counts: (beforeMs: number, afterMs: number) => boolean,
): number => {
  const lastMs = new Map<string, number>();
  let longestMs = 0;
  for (const { room, acknowledgedMs } of sent) {
    const beforeMs = lastMs.get(room);
    lastMs.set(room, acknowledgedMs);
    if (beforeMs === undefined || !counts(beforeMs, acknowledgedMs)) continue;
    longestMs = Math.max(longestMs, acknowledgedMs - beforeMs);
  }
  return longestMs;
};
