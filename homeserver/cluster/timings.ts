/** How long processes wait for each other, and how much one may ask of another. */

export interface ClusterTimings {
  /** How often both ends of a connection show that they live. */
  readonly tickMs: number;
  /** Ticks without a sign of life after which the other side is given up. */
  readonly maxSilentTicks: number;
  /** For finding out whether the other side of a new connection belongs here. */
  readonly handshakeMs: number;
  /** How long a new leader waits for those who followed the last, so that few keys change owner. */
  readonly gatherMs: number;
  /** Between two attempts to follow or to lead. */
  readonly pauseMs: number;
  /** How long a leader that fell silent is not tried. */
  readonly suspectMs: number;
  /** A leader that has not proved for so long that it leads asks first; below the log's `maxSilentMs`. */
  readonly maxUnprovenMs: number;
  /** For the owner of keys to become another. */
  readonly leaveMs: number;
}

export const clusterTimings: ClusterTimings = {
  tickMs: 500,
  // More than 3 s, and never more than 3.5 s.
  maxSilentTicks: 7,
  handshakeMs: 1_000,
  gatherMs: 300,
  pauseMs: 20,
  suspectMs: 3_000,
  maxUnprovenMs: 2_000,
  leaveMs: 5_000,
};

const mebibyte = 1024 * 1024;

/** Between processes that trust each other: against what goes wrong, not against strangers. */
export const clusterLimits = {
  maxFrameBytes: 64 * mebibyte,
  maxStreamBytes: 16 * mebibyte,
  /** More than the largest frame, and some seconds of everything that is written. */
  maxQueuedBytes: 128 * mebibyte,
  maxCalls: 10_000,
} as const;
