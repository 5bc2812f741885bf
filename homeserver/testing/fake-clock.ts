/** A clock that moves only when a test says so. */
import type { Clock } from '../clock.ts';

export class FakeClock implements Clock {
  #nowMs: number;

  /** Starts at noon UTC of 2026-01-01 unless told otherwise. */
  constructor(startMs = Date.UTC(2026, 0, 1, 12)) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
  }

  set(toMs: number): void {
    this.#nowMs = toMs;
  }
}
