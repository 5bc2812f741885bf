/**
 * A reason not to start that the operator can mend. Its message is one paragraph for a person: what
 * is wrong, then what to do; it is shown without a stack.
 */

/** Process exit codes by kind of failure, after `sysexits.h`, so that supervisors can tell them apart. */
export const exitCodes = {
  /** An argument of the command line is wrong. */
  usage: 64,
  /** Something this server needs (a database, a port) is not there for it. */
  unavailable: 69,
  /** The machine or its software is not fit: Node too old, platform unsupported. */
  unsupported: 71,
  /** The disk is full or cannot be written. */
  disk: 74,
  /** Somebody else holds the data folder; trying later may work. */
  locked: 75,
  /** A file or folder belongs to somebody else. */
  permission: 77,
  /** The configuration is wrong. */
  config: 78,
} as const;

export type StartFailureKind = keyof typeof exitCodes;

export class StartFailure extends Error {
  readonly kind: StartFailureKind;
  readonly exitCode: number;

  constructor(kind: StartFailureKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StartFailure';
    this.kind = kind;
    this.exitCode = exitCodes[kind];
  }
}
