/** What a process has done as one of several, since it started. */
export interface ClusterCounts {
  /** Calls of other processes. */
  calls: number;
  /** Those of them that had no answer. */
  lostCalls: number;
  /** Of the ordered stream: written to all members while leading. */
  streamBytesSent: number;
  streamBytesReceived: number;
  /** How often this process has missed something, and began anew. */
  resets: number;
  /** Each moves what is owned by those who come or go. */
  membershipChanges: number;
}

export const noCounts = (): ClusterCounts => ({
  calls: 0,
  lostCalls: 0,
  streamBytesSent: 0,
  streamBytesReceived: 0,
  resets: 0,
  membershipChanges: 0,
});
